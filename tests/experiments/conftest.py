"""An experiment's command line, in this process, and materials that need no training."""

import pytest
from setups import INFO, distilled_set, evaluation_set, random_teacher

from gift_jax.models import get_model


@pytest.fixture
def command(command_line):
    """Run `main` of an experiment's module with arguments. Returns (exit status, standard output, standard error)."""
    return lambda module, *arguments: command_line(module.main, "experiment", *arguments)


@pytest.fixture
def materials():
    """Of a study on the digits, with a teacher of random weights."""
    from experiments.common.study import Materials

    sets, students = {"rded": distilled_set(30, ipc=3, method="rded")}, {"rded": get_model(INFO.spec)}
    return Materials(random_teacher(), sets, evaluation_set(40), None, students)
