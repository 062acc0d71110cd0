"""Huge pages: which processes start themselves again, and that they do so once, as they were asked for."""

import os
import subprocess
import sys

import pytest

from gift_jax.runtime import memory

COMMAND = ["python", "-m", "experiments.evaluate", "--out", "x"]


@pytest.mark.parametrize(
    ("package", "arguments", "program", "expected"),
    [
        ("experiments", COMMAND, "-m", True),
        ("experiments", ["python", "-W", "error", "-m", "experiments"], "-m", True),
        ("gift_jax.experiments", ["python", "-m", "gift_jax.experiments.evaluate"], "-m", True),  # of a wheel
        ("experiments", ["python", "-m", "experiments_of_mine.evaluate"], "-m", False),
        ("experiments", ["python", "-m", "pytest", "experiments"], "-m", False),
        ("experiments", COMMAND, "/src/experiments/evaluate.py", False),  # imported later, such as by another process
        ("experiments", ["python", "-c", "import experiments"], "-c", False),
        ("gift-jax", ["python", "/bin/gift-jax", "evaluate"], "/bin/gift-jax", True),
        ("gift-jax", ["python", "-m", "gift_jax", "evaluate"], "/src/gift_jax/__main__.py", True),
        ("gift-jax", ["python", "notebook.py"], "notebook.py", False),
    ],
)
def test_only_commands_start_again(package, arguments, program, expected):
    assert memory._is_command(package, arguments, program) is expected


def test_the_users_word_holds(monkeypatch):
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("glibc", "2.35"))
    assert memory._available({})
    assert not memory._available({"GLIBC_TUNABLES": "glibc.malloc.check=1"})
    assert not memory._available({memory.OPTION: "0"})
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    assert not memory._available({})


def test_a_process_that_starts_again_is_the_same_but_for_its_pages(tmp_path):
    package = tmp_path / "experiments"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from gift_jax.runtime import memory\n"
        "memory.platform.libc_ver = lambda: ('glibc', '2.35')\nmemory.start_with_huge_pages('experiments')\n"
    )
    (package / "shown.py").write_text(
        "import os, sys\nprint(os.getpid(), os.environ.get('GLIBC_TUNABLES'), sys.argv[1:], sys.warnoptions)\n"
    )
    arguments = [sys.executable, "-W", "error", "-m", "experiments.shown", "a b", ""]
    environment = {name: value for name, value in os.environ.items() if name not in memory.TUNABLES}
    with subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        told, _ = process.communicate()
    assert told == f"{process.pid} {memory.TUNABLES['GLIBC_TUNABLES']} ['a b', ''] ['error']\n"
