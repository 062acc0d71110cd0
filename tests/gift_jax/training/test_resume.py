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


def test_ctrl_c_saves_as_sigterm_does_and_a_second_one_stops_at_once(whole, tmp_path, capfd):
    def press(epochs, loss):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Preempted, match="stopped after epoch 1 of 6; epoch 1 is saved"):
        run(tmp_path, on_epoch=press, saving={"minutes": 60.0})
    assert "Ctrl-C again stops now" in capfd.readouterr().err
    same(run(tmp_path), whole[:1])
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "twice", on_epoch=lambda epochs, loss: (press(epochs, loss), press(epochs, loss)))
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
    assert told == [6]


def files_of(directory):
    return sorted((path for path in directory.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


HALF = {
    "truncate": lambda data, middle: data[:middle],
    "flip": lambda data, middle: data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
    "empty": lambda data, middle: b"",
}


@pytest.mark.parametrize("damage", [*HALF, "remove"])
def test_a_damaged_newest_checkpoint_is_passed_over(damage, whole, tmp_path, caplog, capfd):
    interrupted(tmp_path, 4)
    newest = max(tmp_path.glob("seed_0/*"), key=lambda path: int(path.name))
    largest = files_of(newest)[-1]
    data = largest.read_bytes()
    largest.unlink()
    if damage in HALF:
        largest.write_bytes(HALF[damage](data, len(data) // 2))
    same(run(tmp_path), whole[:1])
    gc.collect()  # so that what a failed read leaves behind complains in this test
    assert caplog.records == []
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"warning: {newest}: damaged (")


def test_every_checkpoint_damaged(whole, tmp_path, capfd):
    interrupted(tmp_path, 4)
    for checkpoint in tmp_path.glob("seed_0/*"):
        files_of(checkpoint)[-1].write_bytes(b"")
    same(run(tmp_path), whole[:1])
    assert capfd.readouterr().err.count("warning: ") == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"loss": "kl"}, "recipe.loss: 'gift' there, 'kl' here"),
        ({"optimizer": Optimizer("adamw", 2e-3)}, "recipe.optimizer.learning_rate: 0.001 there, 0.002 here"),
        ({"epochs": 7}, "recipe.epochs: 6 there, 7 here"),
    ],
)
def test_another_configuration_is_refused(changes, named, tmp_path):
    interrupted(tmp_path, 2)
    recipe = dataclasses.replace(RECIPE, **changes)
    with pytest.raises(GiftError, match="unfinished here") as refused:
        run(tmp_path, recipe)
    assert named in str(refused.value)
    assert str(refused.value).count(" there, ") == 1
    run(tmp_path, recipe, saving={"resume": False})  # starts over


def test_another_set_or_teacher_is_refused(tmp_path):
    interrupted(tmp_path, 2)
    with pytest.raises(GiftError, match=r"distilled\.images"):
        run(tmp_path, distilled=distilled_set(24))
    with pytest.raises(GiftError, match=r"teacher\.weights"):
        run(tmp_path, teacher=random_teacher(1))


def test_a_disk_that_is_nearly_full(whole, tmp_path, monkeypatch, capfd):
    full = []

    def on_epoch(epochs, loss):
        full.append(epochs)
        if sum(full) == 3:
            usage = shutil.disk_usage(tmp_path)._replace(free=100)
            monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    with pytest.raises(GiftError, match=r"needs 0\.0\d+ MB, .* 0\.0001;"):
        run(tmp_path, on_epoch=on_epoch)
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.undo()
    same(run(tmp_path), whole[:1])


@pytest.mark.parametrize("options", [{"epochs": 0}, {"keep": 0}, {"minutes": -1.0}])
def test_impossible_settings(options, tmp_path):
    with pytest.raises(GiftError, match=next(iter(options))):
        Checkpoints(tmp_path, **options)


# Processes of their own.


class Trainer:
    """`trained_apart.py`: forks a training a request."""

    def __init__(self, directory):
        helpers = Path(__file__).parents[2] / "helpers"
        environment = {**os.environ, "PYTHONPATH": f"{helpers}:{helpers.parents[1]}", "PYTHONWARNINGS": "default"}
        environment |= {
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": str(directory / "compiled"),
        }
        command = [sys.executable, str(helpers / "trained_apart.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        self.process, self.directory = subprocess.Popen(command, **pipes), directory

    def start(self, name, **options):
        (self.directory / name).mkdir(exist_ok=True)
        request = {"directory": str(self.directory / name), "log": str(self.log(name)), **options}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline().removeprefix("started "))

    def log(self, name):
        return self.directory / f"{name}.log"

    def ended(self):
        return int(self.process.stdout.readline().removeprefix("ended "))

    def result(self, name):
        return json.loads((self.directory / name / "result.json").read_text())


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    trainer = Trainer(tmp_path_factory.mktemp("apart"))
    yield trainer
    trainer.process.stdin.close()
    trainer.process.wait()
    trainer.process.stdout.close()


@pytest.fixture(scope="module")
def undisturbed(trainer):
    for name in ("compiled", "undisturbed"):
        trainer.start(name)
        start = time.monotonic()
        assert trainer.ended() == 0, trainer.log(name).read_text()
    assert trainer.result("undisturbed") == trainer.result("compiled")
    return trainer.result("undisturbed"), time.monotonic() - start


def wait_for(path, text):
    limit = time.monotonic() + 60
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < limit, f"no {text!r} in {path}"
        time.sleep(0.01)


@pytest.mark.parametrize("count", [1, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_killed_at_twenty_instants(count, trainer, undisturbed):
    """Of a run's life, drawn evenly; seed 0; one instant in short. (Compilations come from the cache.)"""
    result, seconds = undisturbed
    instants, kills = random.Random(0), 0
    while kills < count:
        child = trainer.start("killed")
        time.sleep(instants.uniform(0.0, seconds))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        kills += 1
        if trainer.ended() == 0:
            assert trainer.result("killed") == result
            (trainer.directory / "killed").rename(trainer.directory / f"killed_{kills}")
    trainer.start("killed")
    assert trainer.ended() == 0, trainer.log("killed").read_text()
    assert trainer.result("killed") == result
    assert "Traceback" not in trainer.log("killed").read_text()


def test_sigterm_saves_and_exits(trainer, undisturbed):
    child = trainer.start("preempted", pause=0.2)
    wait_for(trainer.log("preempted"), "epoch 5")
    os.kill(child, signal.SIGTERM)
    assert trainer.ended() == 143
    text = trainer.log("preempted").read_text()
    assert "error: stopped after epoch" in text
    assert "Traceback" not in text
    trainer.start("preempted")
    assert trainer.ended() == 0
    assert trainer.result("preempted") == undisturbed[0]
    assert "epoch 1\n" not in trainer.log("preempted").read_text().removeprefix(text)


def test_a_full_disk(trainer, undisturbed):
    trainer.start("full", fail_after=5)
    assert trainer.ended() == 2
    text = trainer.log("full").read_text()
    assert "the training state could not be saved" in text
    trainer.start("full")
    assert trainer.ended() == 0
    assert trainer.result("full") == undisturbed[0]
    assert "epoch 1\n" not in trainer.log("full").read_text().removeprefix(text)


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
