"""Sets that stream from the host train as those on the device do, bit for bit."""

import dataclasses

import jax
import numpy as np
import pytest
from forms import short_form
from setups import INFO, distilled_set, evaluation_set, random_teacher, train_digits

import gift_jax
from gift_jax import plan
from gift_jax.models import get_model
from gift_jax.optim import Optimizer
from gift_jax.pixels.dsa import DSA_STRATEGY
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.sharding import make_mesh
from gift_jax.task import Task
from gift_jax.training import streaming
from gift_jax.training.epochs import make_epoch
from gift_jax.training.program import init_state, make_data
from gift_jax.training.streaming import make_streamed_data, make_streamed_epoch, place

STUDENT = get_model(INFO.spec)
# One operation alone: most of the time of these tests is compilation.
RECIPE = Recipe(epochs=2, batch_size=8, evaluations=1, augment="flip", optimizer=Optimizer("sgd", 0.05))
SOFT = np.random.default_rng(0).normal(size=(22, 10)).astype("f")
WHITE = np.random.default_rng(1).normal(size=(22, 8, 8, 1)).astype("f")


def run(placement, recipe=RECIPE, **options):
    return train_digits(recipe, placement=placement, **options)


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


CASES = {
    "remainder": {},
    "one batch": {"recipe": dataclasses.replace(RECIPE, batch_size=22)},
    "cut short": {"recipe": dataclasses.replace(RECIPE, max_steps=2)},
    "every operation": {"recipe": dataclasses.replace(RECIPE, max_steps=2, augment=DSA_STRATEGY)},
    "soft labels": {"distilled": distilled_set(soft_labels=SOFT), "teacher": None},
    "mixing": {
        "recipe": dataclasses.replace(RECIPE, mix="cutmix", smallest_crop=0.3),
        "distilled": distilled_set(images=WHITE, pixel_space="normalised", soft_labels=SOFT),
        "teacher": None,
    },
}


@pytest.mark.parametrize("name", short_form(CASES, ["mixing"]))
def test_a_streamed_run_equals_a_resident_one_bit_for_bit(name):
    runs = [run(placement, seeds=(0, 5), **CASES[name]) for placement in ("stream", "device")]
    for streamed, resident in zip(*runs, strict=True):
        assert_same(streamed.losses, resident.losses)
        assert_same(streamed.state, resident.state)
        assert streamed.history == resident.history
    assert not np.array_equal(runs[0][0].losses, runs[0][1].losses)


@pytest.mark.exhaustive
def test_it_begins_at_any_epoch(key):
    """Out of turn, back again, and for another run: always the batches of that run and epoch."""
    distilled, teacher = distilled_set(), random_teacher()
    program = Task(dataclasses.replace(RECIPE, epochs=12), STUDENT, distilled, teacher).program
    streamed = make_streamed_epoch(program, distilled)
    resident = make_epoch(program, driver="loop")
    for one, number in ((key, 7), (key, 8), (key, 2), (jax.random.key(1), 3), (key, 11), (key, 11)):
        states = [init_state(program, jax.random.key(3), RECIPE.optimizer.learning_rate) for _ in range(2)]
        found = streamed(states[0], make_streamed_data(teacher), one, number)
        assert_same(found, resident(states[1], make_data(distilled, teacher), one, number))


def test_a_mapped_file_streams_without_being_read(tmp_path):
    gift_jax.save_distilled(tmp_path / "x.safetensors", distilled_set())
    mapped = gift_jax.load_distilled(tmp_path / "x.safetensors")
    assert isinstance(mapped.images, np.memmap)
    [found], [expected] = run("stream", distilled=mapped), run("device")
    assert_same(found.state, expected.state)


@pytest.mark.exhaustive
def test_what_does_not_fit_streams_by_itself(monkeypatch):
    distilled = distilled_set()
    assert not place(distilled).streamed
    monkeypatch.setattr(streaming, "device_memory", lambda: 4 * distilled.images.nbytes)
    assert not place(distilled).streamed
    resident = dict(plan.describe(Task(RECIPE, STUDENT, distilled, random_teacher(), evaluation_set()), (0,)))
    assert resident["placement"] == "the set is kept on the device: 0.0 MiB, within 25% of the device's memory, 0.0 MiB"
    monkeypatch.setattr(streaming, "device_memory", lambda: 4 * distilled.images.nbytes - 1)
    assert place(distilled).streamed
    lines = dict(plan.describe(Task(RECIPE, STUDENT, distilled, random_teacher(), evaluation_set()), (0,)))
    assert lines["placement"].startswith("the set streams from the host: 0.0 MiB, more than 25%")
    monkeypatch.setattr("gift_jax.task.make_data", None)  # the resident path would call it
    run("auto")


def test_the_plan_counts_one_batch_of_a_set_that_streams(monkeypatch):
    distilled, teacher = distilled_set(2000), random_teacher()
    resident = plan.training_bytes(Task(RECIPE, STUDENT, distilled, teacher))
    monkeypatch.setattr(streaming, "device_memory", lambda: 1000)
    streamed = plan.training_bytes(Task(RECIPE, STUDENT, distilled, teacher))
    rows = distilled.images[0].nbytes + distilled.labels[0].nbytes
    assert resident - streamed == pytest.approx((2000 - 8) * rows, rel=0.01)


def test_the_device_says_its_memory_or_the_machine_does(monkeypatch):
    assert 2**28 < streaming.device_memory() < 2**50

    class Device:
        def memory_stats(self):
            return {"bytes_limit": 17}

    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    assert streaming.device_memory() == 17


# On a mesh seeds are side by side, too.
@pytest.mark.parametrize("seeds", short_form(["vmap", "mesh"], []))
def test_seeds_side_by_side_stream_their_own_batches(seeds, devices):
    """Compiled apart, sums are ordered apart: a few float32 roundings, as in test_train.py."""
    mode = "vmap" if seeds == "vmap" else make_mesh(2, 8, devices(4))
    runs = [run(placement, seeds=(0, 1), seed_driver=mode) for placement in ("stream", "device")]
    for streamed, resident in zip(*runs, strict=True):
        np.testing.assert_allclose(streamed.losses, resident.losses, rtol=1e-5)
        jax.tree.map(lambda *pair: np.testing.assert_allclose(*pair, atol=2e-5), streamed.state, resident.state)
