"""The command line, in this process."""

import functools

import pytest

import gift_jax
from convert.__main__ import COMMANDS


@pytest.fixture
def convert(command_line):
    """Run `python -m convert ...`. Returns (exit status, standard output, standard error)."""
    return functools.partial(command_line, COMMANDS, "convert")


@pytest.fixture
def refused(convert, tmp_path):
    """Run a conversion that must fail: status 2, one line that names the file, nothing left behind."""

    def run(*arguments, message, names):
        out = tmp_path / "out"
        status, _, err = convert(*arguments, "--out", out / "result")
        assert status == 2
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert str(names) in err
        assert message in err
        assert "Traceback" not in err
        assert not out.exists() or list(out.iterdir()) == []

    return run


@pytest.fixture
def imported(convert, tmp_path):
    """Run `python -m convert distilled` and load what it wrote."""

    def run(*arguments):
        status, _, err = convert("distilled", *arguments, "--out", tmp_path / "set.safetensors")
        assert (status, err) == (0, err)
        return gift_jax.load_distilled(tmp_path / "set.safetensors")

    return run
