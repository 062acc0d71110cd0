"""The command line, in this process, and checkpoints as they are read."""

import functools

import pytest
import torch
from fkd_files import make_set

import gift_jax
from convert.__main__ import COMMANDS
from convert.checkpoint import read_checkpoint
from convert.families import find_family
from gift_jax.data.distilled import save_distilled
from gift_jax.data.stored_labels import load_soft_labels


@pytest.fixture
def convert(command_line):
    """Run `python -m convert ...`. Returns (exit status, standard output, standard error)."""
    return functools.partial(command_line, COMMANDS, "convert")


@pytest.fixture
def done(convert):
    """Run what must succeed; returns what was printed."""

    def run(*arguments):
        status, out, err = convert(*arguments)
        assert status == 0, err
        return out

    return run


@pytest.fixture
def refused(convert, tmp_path):
    """Run a conversion that must fail: status 2, one line that names its source (or `names`), nothing left behind."""

    def run(*arguments, message, names=None):
        out = tmp_path / "out"
        status, _, err = convert(*arguments, "--out", out / "result")
        assert status == 2
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert str(arguments[1] if names is None else names) in err
        assert message in err
        assert "Traceback" not in err
        assert not out.exists() or list(out.iterdir()) == []

    return run


@pytest.fixture
def read(tmp_path):
    """Save what a trainer saved, and read the network in it, of the family of a name, by default the spec's."""

    def run(content, spec, *, family=None, **options):
        torch.save(content, tmp_path / "w.pth")
        return read_checkpoint(tmp_path / "w.pth", spec, find_family(family or spec.name), **options)

    return run


@pytest.fixture
def imported(done, tmp_path):
    """Run `python -m convert distilled` and load what it wrote."""

    def run(*arguments):
        (tmp_path / "set.safetensors").unlink(missing_ok=True)
        done("distilled", *arguments, "--out", tmp_path / "set.safetensors")
        return gift_jax.load_distilled(tmp_path / "set.safetensors")

    return run


@pytest.fixture
def imported_fkd(done, tmp_path):
    """Run `python -m convert fkd` for a set, and load what it wrote. Returns it and what was printed."""

    def run(source, *options, distilled=None):
        save_distilled(tmp_path / "set.safetensors", distilled or make_set())
        labels = tmp_path / f"labels_{len(list(tmp_path.glob('labels_*')))}"
        out = done("fkd", source, "--distilled", tmp_path / "set.safetensors", "--out", labels, *options)
        return load_soft_labels(labels), out

    return run


@pytest.fixture
def refused_fkd(refused, tmp_path):
    """Run a conversion of stored soft labels that must fail."""

    def run(source, *options, message, distilled=None):
        save_distilled(tmp_path / "set.safetensors", distilled or make_set())
        refused("fkd", source, "--distilled", tmp_path / "set.safetensors", *options, message=message)

    return run
