"""An experiment's command line, in this process."""

import sys

import pytest

from gift_jax import cli


@pytest.fixture
def command(monkeypatch, capfd):
    """Run `main` of an experiment's module with arguments. Returns (exit status, standard output, standard error)."""

    def run(module, *arguments):
        monkeypatch.setattr(sys, "argv", ["experiment", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.run(module.main, program="experiment")
        output = capfd.readouterr()
        return stopped.value.code or 0, output.out, output.err

    return run
