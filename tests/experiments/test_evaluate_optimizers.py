"""Every optimizer of optax that is not refused, by its name: trained, stopped, taken up again, and at what rate."""

import contextlib
import os
import signal

import jax
import numpy as np
import pytest
from environments import write_set

from experiments import evaluate
from gift_jax.errors import GiftError, Preempted
from gift_jax.optim import LOSS_READERS, RATES, REFUSED
from gift_jax.runtime import progress


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    """Twenty digits with labels of their own, so that no teacher is asked."""
    write_set(place := tmp_path_factory.mktemp("set"))
    return place / "set.safetensors"


@pytest.fixture
def evaluated(small_set, tmp_path, monkeypatch):
    """Evaluate with an optimizer: the runs that were done."""
    monkeypatch.setenv("COLUMNS", "200")

    def evaluated(name, out, **options):
        what = {"method": "random", "dataset": "digits", "model": "conv1", "ipc": 2, "distilled": small_set}
        how = {"student_options": "width=4", "loss": "kl", "epochs": 2, "batch_size": 10, "seeds": (0,)}
        where = {"out": tmp_path / out, "save_minutes": 0.0}
        return evaluate.run(evaluate.Evaluate(**what, **{**how, **where, "optimizer": name, **options}))

    return evaluated


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", RATES)
def test_each_trains_and_goes_on_after_a_stop_as_if_there_had_been_none(name, evaluated, monkeypatch, capsys):
    [whole] = evaluated(name, "whole")
    assert np.isfinite(whole.losses).all()
    told = " ".join(capsys.readouterr().out.split())
    assert f"{RATES[name].value:g}, default for {name}: {RATES[name].source}" in told

    @contextlib.contextmanager
    def stopping(*arguments):
        yield lambda *advanced: os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(progress, "display", stopping)
        with pytest.raises(Preempted, match="after epoch 1 of 2"):
            evaluated(name, "stopped")
    [resumed] = evaluated(name, "stopped")
    assert resumed.losses.tolist() == whole.losses.tolist()
    assert resumed.history == whole.history
    jax.tree.map(np.testing.assert_array_equal, resumed.state.params, whole.state.params)


def test_a_given_rate_is_taken_and_the_recipes_own_optimizer_keeps_its_rate(evaluated, capsys):
    for name, given, told in (("lion", 0.5, "lion at 0.5,"), ("adamw", None, "adamw at 0.001,")):
        evaluated(name, "dry", learning_rate=given, dry_run=True)
        assert told in (out := capsys.readouterr().out)
        assert ("default for" in out) == (given is None)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_with_is_refused_with_the_reason(name, evaluated):
    for rate in (None, 0.1):
        with pytest.raises(GiftError) as caught:
            evaluated(name, "refused", learning_rate=rate)
        assert str(caught.value) == f"optimizer {name!r} {REFUSED[name]}"


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted(LOSS_READERS))
def test_those_that_read_the_loss_train_seeds_on_two_devices(name, evaluated):
    alone, spread = evaluated(name, "alone", seeds=(0, 1)), evaluated(name, "spread", seeds=(0, 1), devices=2)
    for one, other in zip(alone, spread, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-3)
