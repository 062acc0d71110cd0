"""What `make` would do, by what nvidia-smi prints and what is in .venv; nothing is installed."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SMI = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 580.95.05              Driver Version: 580.95.05      {}     |
+-----------------------------------------+------------------------+----------------------+
"""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="there is no make here")


@pytest.fixture
def plan(tmp_path):
    """The commands that make would run, or its error; smi is what nvidia-smi prints, None if it fails."""
    for name in ("Makefile", "pyproject.toml", "setup.py", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)

    def run(*arguments, smi=None):
        place = tmp_path / "bin"
        place.mkdir(exist_ok=True)
        printed = "exit 9" if smi is None else f"cat <<'END'\n{SMI.format(smi)}END"
        (place / "nvidia-smi").write_text(f"#!/bin/sh\n{printed}\n")
        (place / "nvidia-smi").chmod(0o755)
        ours = ("ACCELERATOR", "TORCH_INDEX", "PYTHON", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        environment["PATH"] = f"{place}:{environment['PATH']}"
        command = ["make", "--dry-run", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run


def ready(tmp_path, name):
    (tmp_path / ".venv").mkdir(exist_ok=True)
    (tmp_path / ".venv" / name).touch()


WITHOUT, MIRROR = (",docs]'", "touch .venv/ready\n"), "https://mirror.example/cpu"
EXTRAS = {"12.8 ": "cuda12", "13.0 ": "cuda13", "14.1 ": "cuda13", "11.8 ": None, "N/A  ": None, "1.2  ": None}
PLANS = [
    ("demo", None, ("python3 -m venv  .venv", "-e '.[torch,data,demo,test,lint,docs]'", "-m experiments.quickstart")),
    ("demo", None, WITHOUT),
    *(
        ("demo", f"CUDA Version: {version}", (f",docs,{extra}]'", f"touch .venv/ready-{extra}\n") if extra else WITHOUT)
        for version, extra in EXTRAS.items()
    ),
    ("demo", "CUDA UMD Version: 13.2 ", (",docs,cuda13]'",)),
    # What is given goes before what is found.
    ("demo ACCELERATOR=tpu", "CUDA Version: 12.8 ", (",docs,tpu]'",)),
    ("demo ACCELERATOR=", "CUDA Version: 12.8 ", (",docs]'",)),
    (f"test TORCH_INDEX={MIRROR}", None, (f"--extra-index-url {MIRROR} torch",)),
]


@pytest.mark.parametrize(("words", "smi", "planned"), PLANS)
def test_what_is_given_or_found_decides(plan, words, smi, planned):
    text = plan(*words.split(), smi=smi)
    assert [part for part in planned if part not in text] == []


def test_pytorch_without_cuda_comes_first(plan):
    lines = plan("test", "ACCELERATOR=cuda12").splitlines()
    torch, rest = (line for line in lines if "pip install" in line)
    assert f"--extra-index-url {CPU_INDEX} torch torchvision; " in torch
    assert "-c constraints.txt" in torch
    assert rest.endswith("-e '.[torch,data,demo,test,lint,docs,cuda12]'")


@pytest.mark.parametrize("answers", [True, False])
def test_an_index_that_does_not_answer_is_passed_over_with_a_word(answers, plan, tmp_path):
    if answers:
        (tmp_path / "torch").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        lines = plan("demo", f"TORCH_INDEX=http://localhost:{server.server_port}").splitlines()
        [command] = [line for line in lines if line.startswith("if ")]
        command = command.replace(".venv/bin/python -m pip", "echo pip")
        (tmp_path / ".venv").symlink_to(Path(sys.prefix))
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
        server.shutdown()
    assert ("pip install" in done.stdout, "does not answer" in done.stdout) == (answers, not answers)


def test_without_an_index_pytorch_comes_with_the_rest(plan):
    assert plan("test", "ACCELERATOR=tpu", "TORCH_INDEX=").count("pip install") == 1


def test_an_unknown_accelerator_is_one_sentence(plan):
    text = plan("demo", "ACCELERATOR=cuda11")
    assert "ACCELERATOR=cuda11 is unknown; give cuda12, cuda13 or tpu, or nothing for the CPU" in text
    assert len(text.splitlines()) == 1


def test_another_accelerator_is_a_new_environment(plan, tmp_path):
    ready(tmp_path, "ready")
    assert "venv" not in plan("demo").replace(".venv/bin", "")
    assert "python3 -m venv --clear .venv" in plan("demo", "ACCELERATOR=cuda12")
    assert "python3 -m venv --clear .venv" in plan("demo", smi="CUDA Version: 13.0 ")


def test_an_environment_keeps_its_accelerator_where_nvidia_smi_is_silent(plan, tmp_path):
    ready(tmp_path, "ready-cuda13")
    assert "pip install" not in plan("demo")
    assert "python3 -m venv --clear .venv" in plan("demo", "ACCELERATOR=")


def test_an_older_environment_is_brought_up_to_date_not_cleared(plan, tmp_path):
    ready(tmp_path, "ready-cuda12")
    os.utime(tmp_path / ".venv" / "ready-cuda12", (0, 0))
    text = plan("demo")
    assert "--clear" not in text
    assert ",docs,cuda12]'" in text
