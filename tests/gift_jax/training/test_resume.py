"""Checkpoints of the training state: a run that was stopped, however, ends with the bits of one that was not."""

import contextlib
import dataclasses
import gc
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from setups import distilled_set, random_teacher, stopping_after, train_digits

from gift_jax.errors import GiftError, Preempted
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.progress import listening
from gift_jax.training import resume
from gift_jax.training.resume import Checkpoints, open_store, remove

STEPS = 3  # an epoch
RECIPE = Recipe(epochs=6, batch_size=8, evaluations=3, augment="flip", optimizer=Optimizer("adamw", 1e-3))


def run(directory=None, recipe=RECIPE, **options):
    checkpoints = None if directory is None else Checkpoints(directory, epochs=1, **options.pop("saving", {}))
    return train_digits(recipe, checkpoints=checkpoints, **options)


def interrupted(directory, after, **options):
    """A run that an exception ends after some epochs of all seeds together."""
    with pytest.raises(KeyboardInterrupt):
        run(directory, on_epoch=stopping_after(after), **options)


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert (one.seed, one.history) == (other.seed, other.history)
        np.testing.assert_array_equal(one.losses, other.losses)
        jax.tree.map(np.testing.assert_array_equal, one.state, other.state)


@pytest.fixture(scope="module")
def whole():
    return run(seeds=(0, 1))


@pytest.mark.parametrize("after", [1, 4, 6, 9])
def test_an_interrupted_run_goes_on_to_the_same_bits(after, whole, tmp_path):
    interrupted(tmp_path, after, seeds=(0, 1))
    epochs = []
    same(run(tmp_path, seeds=(0, 1), on_epoch=lambda number, loss: epochs.append(number)), whole)
    assert sum(epochs) == 12  # those that were done before are told too
    assert epochs[0] == {1: 1, 4: 3, 6: 5, 9: 6}[after]  # it was told before it was saved


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_run_once_it_is_saved(number, whole, tmp_path, capfd):
    with pytest.raises(Preempted, match="stopped after epoch 1 of 6; epoch 1 is saved"):
        run(tmp_path, on_epoch=lambda epochs, loss: os.kill(os.getpid(), number), saving={"minutes": 60.0})
    assert ("Ctrl-C again stops now" in capfd.readouterr().err) == (number == signal.SIGINT)
    same(run(tmp_path), whole[:1])


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, on_epoch=lambda epochs, loss: [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)])
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_run_that_another_process_trains_is_refused_and_another_seed_is_not(tmp_path):
    settings = Checkpoints(tmp_path)
    with (
        open_store(settings, "seed_0", {}),
        open_store(settings, "seed_1", {}),
        pytest.raises(GiftError, match="seed_0: another process is training this run; wait for it, or stop it"),
        open_store(settings, "seed_0", {}),
    ):
        pass
    with open_store(settings, "seed_0", {}):
        pass


def test_a_finished_run_removes_its_own_checkpoints_only(tmp_path):
    settings = Checkpoints(tmp_path / "checkpoints" / "setting")
    for name in ("seed_0", "seed_1", "seed_10", "seed_0_1"):
        with open_store(settings, name, {}):
            pass
    with open_store(settings, "seed_0", {}):  # as a repeat of the run with `--no-resume` holds it
        remove(settings, (0,))
        assert (settings.directory / "seed_0").is_dir()
    remove(settings, (0,))
    assert {path.name for path in settings.directory.iterdir() if path.is_dir()} == {"seed_1", "seed_10", "seed_0_1"}
    remove(settings, (0, 1, 10))
    assert list(tmp_path.iterdir()) == []


def test_seeds_side_by_side(tmp_path):
    expected = run(seeds=(0, 1), seed_driver="vmap")
    interrupted(tmp_path, 6, seeds=(0, 1), seed_driver="vmap")
    same(run(tmp_path, seeds=(0, 1), seed_driver="vmap"), expected)


def test_a_finished_run_is_not_repeated_and_only_the_newest_checkpoints_are_kept(tmp_path):
    first, told = run(tmp_path, saving={"keep": 3}), []
    assert sorted(entry.name for entry in (tmp_path / "seed_0").iterdir()) == ["4", "5", "6"]
    same(run(tmp_path, on_epoch=lambda epochs, loss: told.append(epochs)), first)
    assert told == [6, 0]


DAMAGE = {
    "truncate": lambda data, middle: data[:middle],
    "flip": lambda data, middle: data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
    "empty": lambda data, middle: b"",
    "remove": None,
}


@pytest.mark.parametrize(("damage", "count"), [*((damage, 1) for damage in DAMAGE), ("empty", 2)])
def test_the_newest_checkpoints_that_are_damaged_are_passed_over(damage, count, whole, tmp_path, caplog, capfd):
    """The newest one, or all there are."""
    interrupted(tmp_path, 4)
    damaged = sorted(tmp_path.glob("seed_0/*"), key=lambda path: -int(path.name))[:count]
    for checkpoint in damaged:
        largest = max(filter(Path.is_file, checkpoint.rglob("*")), key=lambda path: path.stat().st_size)
        data = largest.read_bytes()
        largest.unlink()
        if DAMAGE[damage]:
            largest.write_bytes(DAMAGE[damage](data, len(data) // 2))
    same(run(tmp_path), whole[:1])
    gc.collect()  # so that what a failed read leaves behind complains in this test
    assert caplog.records == []
    warnings = [line.partition(": damaged (")[0] for line in capfd.readouterr().err.splitlines()]
    assert warnings == [f"warning: {checkpoint}" for checkpoint in damaged]


def with_recipe(**changes):
    return {"recipe": dataclasses.replace(RECIPE, **changes)}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (with_recipe(loss="kl"), ["recipe.loss: 'gift' there, 'kl' here"]),
        (with_recipe(optimizer=Optimizer("adamw", 2e-3)), ["recipe.optimizer.learning_rate: 0.001 there, 0.002 here"]),
        (with_recipe(epochs=7), ["recipe.epochs: 6 there, 7 here"]),
        ({"distilled": distilled_set(24)}, ["distilled.images: ", "distilled.labels: "]),
        ({"teacher": random_teacher(1)}, ["teacher.weights: "]),
    ],
    ids=["loss", "rate", "epochs", "set", "teacher"],
)
def test_another_configuration_is_refused(changes, named, tmp_path):
    interrupted(tmp_path, 2)
    with pytest.raises(GiftError, match="unfinished here") as refused:
        run(tmp_path, **changes)
    assert all(text in str(refused.value) for text in named)
    assert str(refused.value).count(" there, ") == len(named)
    run(tmp_path, **changes, saving={"resume": False})  # starts over


def test_a_disk_that_is_nearly_full(whole, tmp_path, monkeypatch, capfd):
    usage = shutil.disk_usage(tmp_path)
    usages = iter([usage, usage, usage._replace(free=100)])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: next(usages))
    with pytest.raises(GiftError, match=r"needs 0\.0\d+ MB, .* 0\.0001;"):
        run(tmp_path)
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.undo()
    same(run(tmp_path), whole[:1])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of Orbax's threads
def test_a_full_disk(whole, tmp_path, full_disk, caplog, capfd):
    with contextlib.ExitStack() as limits, pytest.raises(GiftError, match="the training state could not be saved"):
        run(tmp_path, on_epoch=lambda epochs, loss: limits.enter_context(full_disk(1000)))
    gc.collect()
    assert (caplog.records, capfd.readouterr().err) == ([], "")
    same(run(tmp_path), whole[:1])


@pytest.mark.parametrize("options", [{"epochs": 0}, {"keep": 0}, {"minutes": -1.0}])
def test_impossible_settings(options, tmp_path):
    with pytest.raises(GiftError, match=next(iter(options))):
        Checkpoints(tmp_path, **options)


@pytest.fixture
def train_apart(tmp_path):
    """A function that trains in a directory, in a process that is killed after so many seconds; its exit status."""
    helpers = Path(__file__).parents[2] / "helpers"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{helpers}:{helpers.parents[1]}",
        "PYTHONWARNINGS": "default",
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled_programs"),
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, helpers / "trained_apart.py"], **pipes) as server:

        def train(directory, seconds=None):
            directory.mkdir(exist_ok=True)
            print(directory, file=server.stdin, flush=True)
            child = int(server.stdout.readline())
            if seconds is not None:
                time.sleep(seconds)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            return int(server.stdout.readline())

        yield train


@pytest.mark.parametrize("count", [1, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_killed_at_twenty_instants(count, train_apart, tmp_path):
    """Of a run's life, drawn evenly; seed 0; one instant in short. (Compilations come from the cache.)"""

    def result(name):
        return json.loads((tmp_path / name / "result.json").read_text())

    for name in ("compiled", "undisturbed"):
        start = time.monotonic()
        assert train_apart(tmp_path / name) == 0, (tmp_path / name / "log").read_text()
    whole, seconds = result("undisturbed"), time.monotonic() - start
    assert result("compiled") == whole
    instants, killed = random.Random(0), tmp_path / "killed"
    for number in range(count):
        if train_apart(killed, instants.uniform(0.0, seconds)) == 0:
            assert result("killed") == whole
            killed.rename(tmp_path / f"killed_{number}")
    status, log = train_apart(killed), (killed / "log").read_text()
    assert status == 0, log
    assert result("killed") == whole
    assert "Traceback" not in log


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_stop_within_a_long_epoch_does_not_wait_for_its_end(epochs, tmp_path, whole, monkeypatch):
    """Whatever takes more than no time is long here. The signal comes in the first step after so many epochs."""
    monkeypatch.setattr(resume, "LONG_EPOCH", 0.0)
    told = []

    def part(share):
        told.append(share)
        if len(told) == STEPS * epochs + 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with listening(part), pytest.raises(Preempted, match=f"stopped in epoch {epochs + 1}; .*run the same command"):
        run(tmp_path / "state", seeds=(0,), saving={"minutes": 60.0})
    assert len(told) == STEPS * epochs + 1
    same(run(tmp_path / "state", seeds=(0,)), whole[:1])
