"""Options and tables as their source says them: the same as when they are imported, and without JAX."""

import dataclasses
import importlib
import inspect
import os
import subprocess
import sys

import pytest

from experiments.__main__ import commands
from gift_jax.runtime import unimported
from gift_jax.runtime.options import make_command

TABLES = [
    "gift_jax.losses:LOSSES",
    "gift_jax.models:MODELS",
    "gift_jax.recipes:RECIPES",
    "gift_jax.optim:RATES",
    "gift_jax.optim.pytorch:OPTIMIZERS",
    "gift_jax.data.datasets:DATASETS",
    "experiments.common.sources:SETS",
    "convert.distilled.methods:METHODS",
]


@pytest.mark.parametrize("table", TABLES)
def test_keys_of_tables_are_those_that_are_imported(table):
    module, name = table.split(":")
    assert unimported.keys(module, name) == tuple(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("name", commands())
def test_options_of_a_command_are_those_that_are_imported(name):
    module = importlib.import_module(f"experiments.{name}")
    options, about = unimported.options(f"experiments.{name}")
    [real] = [hint for hint in inspect.get_annotations(module.main, eval_str=True).values() if hint is not None]
    assert about == inspect.getdoc(module)
    fields, expected = (
        [(field.name, str(field.type), field.default) for field in dataclasses.fields(each)] for each in (options, real)
    )
    assert fields == expected
    read, imported = make_command(options, about=about), make_command(module.main)
    assert (read.description, read.example, read.options) == (imported.description, imported.example, imported.options)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("experiments.evaluate", ["--help"]),
        ("experiments.evaluate", ["--modle", "conv3"]),
        ("experiments.label_regimes", ["--epochs", "many"]),
        ("experiments.train_teacher", []),
        ("convert", ["teacher", "--help"]),
        ("convert", ["zoo", "nowhere", "--out", "x"]),
    ],
)
def test_where_nothing_is_computed_jax_is_not_loaded(module, arguments):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", module, *arguments],
        env={**os.environ, "GIFT_JAX_HUGE_PAGES": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert done.returncode in (0, 2)
    assert "gift_jax.runtime.cli" in loaded
    assert not {"jax", "numpy", "torch"} & loaded
