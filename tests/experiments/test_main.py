"""`python -m experiments` lists what there is; each command says what it does, and with what."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from experiments.__main__ import commands
from gift_jax.runtime.options import make_command

COMMANDS = sorted(commands())


def run(*arguments):
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)


def test_every_command_is_listed_with_what_it_does():
    listed = run("experiments").stdout
    assert {"evaluate", "benchmark"} <= {*COMMANDS}  # a file and a package
    for name, line in commands().items():
        assert name in listed
        assert line.endswith(".")


def test_gift_jax_lists_runs_and_refuses():
    assert run("gift_jax").stdout == run("experiments").stdout
    assert "Convert a PyTorch teacher" in run("gift_jax", "convert", "--help").stdout
    assert run("gift_jax", "common").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("experiments evaluate --dataset digits", "`python -m experiments.evaluate --dataset digits`"),
        ("experiments evalute", "`python -m experiments.evaluate`"),
        ("experiments convert teacher", "`python -m convert teacher`"),
        ("experiments --dataset digits", "--dataset"),
        ("gift_jax evalute", "`python -m experiments.evaluate`"),
        ("gift_jax nothing", "'nothing'"),
        ("convert techer x.pth", "teacher"),
    ],
)
def test_a_command_that_is_not_there_is_refused_with_the_one_that_is_meant(arguments, meant):
    done = run(*arguments.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert meant in done.stderr


@pytest.mark.parametrize(
    ("command", "needed"),
    [("experiments.teacher_check", "needs TEACHER"), ("convert export --out x", "needs DIRECTORY")],
)
def test_a_command_says_which_place_it_needs(command, needed):
    assert needed in run(*command.split()).stderr


WITHOUT_TORCH = """
import runpy, sys
class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Finder)
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", "teacher", "x.pth", "--dataset", "cifar10", "--model", "conv3", "--out", "t"),
        ("convert", "distilled", "x.pth", "--method", "datm", "--dataset", "cifar10", "--out", "x.safetensors"),
        ("experiments.quickstart", "--out", "demo"),
    ],
    ids=["teacher", "distilled", "quickstart"],
)
def test_without_pytorch_one_sentence_names_the_extra(arguments, tmp_path):
    (tmp_path / "x.pth").touch()
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: this command needs PyTorch; run `pip install 'gift-jax[torch]'`"
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error") == 1


def test_output_that_is_cut_off_is_no_error():
    done = subprocess.run(f"{sys.executable} -m experiments | head -1", shell=True, capture_output=True, check=False)
    assert done.stdout.startswith(b"usage: python -m experiments.NAME")
    assert done.stderr == b""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does_and_ends_with_an_example(name, capsys):
    module = __import__(f"experiments.{name}", fromlist=["main"])
    command = make_command(module.main, with_choices=True)
    with pytest.raises(SystemExit):
        tyro.cli(command.form, args=["--help"], description=command.description)
    text = capsys.readouterr().out
    assert command.description == commands()[name]
    assert command.example
    assert command.example.startswith(f"python -m experiments.{name}")
    assert "None" not in text
    for option, hint in (("--losses", "gift"), ("--dataset", "digits"), ("--model", "conv")):
        line = next((line for line in text.splitlines() if f"{option} " in line), None)
        assert line is None or hint in line
