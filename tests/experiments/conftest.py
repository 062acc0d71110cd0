"""An experiment's command line, in this process, and materials that need no training."""

import dataclasses

import jax
import pytest
from setups import INFO, distilled_set, evaluation_set, make_variables, random_teacher

from gift_jax.data.datasets import CIFAR_NORMALISATION
from gift_jax.models import get_model
from gift_jax.teachers.teacher import save_teacher


@pytest.fixture
def command(command_line):
    """Run `main` of an experiment's module with arguments. Returns (exit status, standard output, standard error)."""
    return lambda module, *arguments: command_line(module.main, "experiment", *arguments)


@pytest.fixture
def succeed(command):
    """Run an experiment that has to end well. Returns standard output."""

    def run(module, *arguments):
        status, out, err = command(module, *arguments)
        assert status == 0, err
        return out

    return run


@pytest.fixture
def refuse(command):
    """Run an experiment that has to end with a mistake. Returns the sentence, the last of standard error."""

    def run(module, *arguments):
        status, _, err = command(module, *arguments)
        sentence = err.strip().splitlines()[-1]
        assert (status, sentence[:7]) == (2, "error: ")
        return sentence

    return run


@pytest.fixture
def materials():
    """Of a study on the digits, with a teacher of random weights."""
    from experiments.common.study import Materials

    sets, students = {"rded": distilled_set(30, ipc=3, method="rded")}, {"rded": get_model(INFO.spec)}
    return Materials(random_teacher(), sets, evaluation_set(40), None, students)


@pytest.fixture
def save_random_teacher():
    """Save a teacher of random weights at a path, of the digits unless the changes say otherwise. Returns its info."""

    def save(path, seed=0, **changes):
        sizes = {"image_size": 32, "channels": 3, "normalisation": CIFAR_NORMALISATION} if "dataset" in changes else {}
        info = dataclasses.replace(INFO, **sizes, **changes)
        variables = get_model(info.spec).init(jax.random.key(seed)) if changes else make_variables(seed)
        save_teacher(path, info, *variables)
        return info

    return save
