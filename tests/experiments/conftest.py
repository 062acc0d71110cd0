"""An experiment's command line, in this process."""

import pytest


@pytest.fixture
def command(command_line):
    """Run `main` of an experiment's module with arguments. Returns (exit status, standard output, standard error)."""
    return lambda module, *arguments: command_line(module.main, "experiment", *arguments)
