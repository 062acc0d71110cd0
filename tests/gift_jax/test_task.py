"""A task is checked and normalised once; its identity holds all that decides a run, and costs nothing to keep."""

import dataclasses
import gc
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from setups import INFO, distilled_set, evaluation_set, random_digits, random_teacher

from gift_jax.data.datasets import Normalisation
from gift_jax.data.network_input import to_input
from gift_jax.errors import Diverged, GiftError
from gift_jax.models import get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.studies.cells import Cell
from gift_jax.studies.grid import Shard, take_shard
from gift_jax.task import Task
from gift_jax.teachers.teacher import make_teacher
from gift_jax.training import identity
from gift_jax.training.identity import fingerprint

OTHER = Normalisation((0.5,), (0.25,))
STUDENT = get_model(INFO.spec)
RECIPE = Recipe(augment="none", epochs=1, batch_size=11, evaluations=1)


def normalised(count=22):
    images, labels = random_digits(count)
    pixels = (images.astype("f") / 255 - np.float32(0.5)) / np.float32(0.25)
    return distilled_set(images=pixels, labels=labels, pixel_space="normalised", normalisation=OTHER)


def task(**changes):
    parts = {"recipe": RECIPE, "student": STUDENT, "distilled": distilled_set(), "teacher": random_teacher()}
    return Task(**{**parts, "test_set": evaluation_set(100), **changes})


def test_schedule_free_students_are_validated_with_statistics_of_the_images_they_saw():
    """The set as it is stored, normalised by other statistics than the teacher's, gives the raw set's student."""
    recipe = dataclasses.replace(RECIPE, optimizer=Optimizer("schedule_free_sgd", 0.05))
    found = []
    for distilled in (distilled_set(), normalised()):
        cell = Cell({}, task(recipe=recipe, distilled=distilled), validation_set=evaluation_set(200))
        [run] = cell.task.train()
        found.append((cell.task.evaluation_weights(run.state)[1], cell.run(lambda epochs, loss: None)))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-4), found[0][0], found[1][0])
    assert found[0][1]["validation_top1"] == found[1][1]["validation_top1"]


def test_cells_of_one_set_keep_one_copy_and_hash_it_once(monkeypatch):
    """Bytes a cell, kept and hashed, do not grow from 50 to 400 cells of a set that is normalised anew."""
    hashed = []
    digest = identity.digest
    monkeypatch.setattr(identity, "digest", lambda arrays: hashed.append(np.asarray(arrays).nbytes) or digest(arrays))
    distilled, teacher, tests = normalised(2000), random_teacher(), evaluation_set(50)
    distilled.images.setflags(write=False)

    def per_cell(count):
        hashed.clear()
        tracemalloc.start()
        cells = [Cell({}, Task(RECIPE, STUDENT, distilled, teacher, tests), seed) for seed in range(count)]
        take_shard(cells, Shard())
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return kept / count, sum(hashed) / count

    per_cell(2)  # what is made once
    few, many = per_cell(50), per_cell(400)
    assert many[0] < 1.5 * few[0] < 20_000
    assert many[1] <= few[1] < distilled.images.nbytes / 10


def test_renormalised_pixels_go_with_their_set():
    teacher = random_teacher()
    distilled = normalised()
    first, second = (Task(RECIPE, STUDENT, distilled, teacher).distilled for _ in range(2))
    assert first is second
    distilled.images[0] += 1
    assert Task(RECIPE, STUDENT, distilled, teacher).distilled is not first
    known = len(identity._KNOWN)
    Task(RECIPE, STUDENT, normalised(), teacher).identity()
    gc.collect()
    assert len(identity._KNOWN) <= known + len(jax.tree.leaves(teacher.params))


def identity_of(**changes):
    return fingerprint(task(**changes).identity())


def test_a_teachers_architecture_and_options_tell_runs_apart():
    """The same arrays, read as another network: a converted checkpoint under `--norm instance` and under `group`."""
    info = dataclasses.replace(INFO, options={"width": 4, "norm": "instance"})
    variables = get_model(info.spec).init(jax.random.key(0))
    other = dataclasses.replace(INFO, options={"width": 4, "norm": "group"})
    found = [identity_of(teacher=make_teacher(one, *variables)) for one in (info, other)]
    assert found[0] != found[1]


@pytest.mark.parametrize("kind", ["an earlier view", "a mapped file"])
def test_images_that_change_although_they_were_frozen_tell_runs_apart(kind, tmp_path):
    owner = evaluation_set(100).images.copy()
    if kind == "a mapped file":
        np.save(path := tmp_path / "images.npy", owner)
        owner, images = np.load(path, mmap_mode="r+"), np.load(path, mmap_mode="r")
    else:
        images, owner = owner, owner[:]
        images.setflags(write=False)
    tests = dataclasses.replace(evaluation_set(100), images=images)
    before = identity_of(test_set=tests)
    assert identity_of(test_set=tests) == before
    owner[...] = 0
    assert identity_of(test_set=tests) != before


@pytest.mark.parametrize("row", [1, 50, 99])
def test_every_test_image_tells_runs_apart_also_when_changed_in_place(row):
    tests = evaluation_set(100)
    before = identity_of(test_set=tests)
    tests.images[row, 3, 3, 0] ^= 1
    assert identity_of(test_set=tests) != before
    tests.images[row, 3, 3, 0] ^= 1
    assert identity_of(test_set=tests) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("jax_threefry_partitionable", False),
        ("jax_random_seed_offset", 5),
        ("jax_default_prng_impl", "rbg"),
        ("jax_default_matmul_precision", "highest"),
    ],
)
def test_the_random_generator_and_the_precision_of_products_tell_runs_apart(option, value):
    before, kept = identity_of(), getattr(jax.config, option)
    try:
        jax.config.update(option, value)
        assert identity_of() != before
    finally:
        jax.config.update(option, kept)


def test_the_default_precision_of_products_is_no_part_of_an_identity():
    assert identity.random_identity().keys() == {"default_prng_impl", "threefry_partitionable", "enable_x64"}
    with jax.default_matmul_precision("default"):
        assert "default_matmul_precision" not in identity.random_identity()


def test_a_row_has_the_teachers_accuracy_on_the_test_images():
    found = task()
    [run] = found.train()
    logits = found.teacher.logits(to_input(jnp.asarray(found.test_set.images), "raw", found.normalisation))
    expected = 100 * float(np.mean(np.argmax(logits, 1) == found.test_set.labels))
    assert found.row(run)["teacher_top1"] == pytest.approx(expected)
    assert dataclasses.replace(found, recipe=Recipe(loss="ce", epochs=1), teacher=None).teacher_top1 is None


@pytest.mark.parametrize(
    ("loss", "optimizer", "message"),
    [
        ("ce", Optimizer("sgd", 3e38, 100.0), "weights that are not finite after epoch 1; lower the learning rate"),
        ("gift", Optimizer("adamw", 1e30), "not finite after epoch 1"),  # the weights may be; the logits are not
    ],
)
def test_a_run_that_overflows_in_its_last_step_is_divergence(loss, optimizer, message):
    recipe = dataclasses.replace(RECIPE, loss=loss, batch_size=22, optimizer=optimizer)
    with pytest.raises(Diverged, match=message):
        task(recipe=recipe, teacher=None if loss == "ce" else random_teacher()).train()


@pytest.mark.parametrize(
    ("part", "value", "what"), [("recipe", "gift", "Recipe"), ("student", "conv2", "Model"), ("distilled", [1], "Dist")]
)
def test_names_are_no_parts_of_a_task(part, value, what):
    with pytest.raises(GiftError, match=rf"`{part}` is .*, not a {what}"):
        dataclasses.replace(task(), **{part: value})


@pytest.mark.parametrize("option", ["driver", "seed_driver", "placement"])
def test_unknown_ways_to_train_are_refused(option):
    with pytest.raises(GiftError, match=f"{option} 'foo' is unknown; choose one of auto, "):
        task().train(**{option: "foo"})
