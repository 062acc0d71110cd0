"""Labels made from a teacher: whose views they are of, how many there are, and that students replay them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from setups import INFO, distilled_set, random_teacher

from experiments.label_regimes.relabel import make_labels
from gift_jax.data.datasets import Normalisation
from gift_jax.data.stored_info import StoredBatches, problems
from gift_jax.models import get_model
from gift_jax.recipes.recipe import Recipe
from gift_jax.reports.tables import make_grid
from gift_jax.task import Task
from gift_jax.training import epochs
from gift_jax.training.replay import replay

TEACHER, SET, STUDENT = random_teacher(), distilled_set(22), get_model(INFO.spec)
PLAIN = Recipe(epochs=4, batch_size=11, augment="none", evaluations=1, normalisation=TEACHER.info.normalisation)
RECIPE = dataclasses.replace(PLAIN, augment="flip", smallest_crop=0.5)
KINDS = {"one": {"whole": True}, "few": {"views": 2}, "bank": {}}


def by_image(flat):
    """Boxes, flips and logits in the set's order."""
    places = np.argsort(flat.indices)
    return flat.boxes[places], flat.flips[places], flat.logits[places]


@jax.jit
def teacher_logits(boxes, flips):
    """Of the whole set at once."""
    info = make_labels(SET, TEACHER, RECIPE, seed=3).info
    batch = StoredBatches((), boxes, flips, (), (), (), ())
    seen, _ = replay(jnp.asarray(SET.images), batch, info, "raw", TEACHER.info.normalisation)
    return TEACHER.model.apply(TEACHER.params, {}, seen)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_made_epochs_are_sound_and_differ(kind):
    made = make_labels(SET, TEACHER, RECIPE, seed=3, **KINDS[kind])
    found = [made.flat(number) for number in range(RECIPE.epochs)]
    assert [problems(flat, made.info, made.info.steps) for flat in found] == [[]] * 4
    assert len({flat.indices.tobytes() for flat in found}) == 4
    views = {by_image(flat)[0].tobytes() for flat in found}
    assert len(views) == {"one": 4, "few": 2, "bank": 4}[kind]
    assert any(flat.flips.any() for flat in found)
    again = make_labels(SET, TEACHER, RECIPE, seed=3, **KINDS[kind]).flat(1)
    for one, other in zip(found[1], again, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_the_teachers_on_what_they_say(kind):
    made = make_labels(SET, TEACHER, RECIPE, seed=3, **KINDS[kind])
    boxes, flips, logits = by_image(made.flat(2))
    assert logits.dtype == np.float16
    if kind == "one":
        boxes, flips = np.tile(np.array([0, 0, 8, 8], np.int16), (22, 1)), np.zeros(22, bool)
    np.testing.assert_allclose(logits, teacher_logits(boxes, flips), rtol=2e-3, atol=2e-3)


def test_without_crops_and_flips_every_view_is_the_whole_image():
    boxes, flips, _ = by_image(make_labels(SET, TEACHER, PLAIN, seed=0).flat(1))
    assert (boxes == [0, 0, 8, 8]).all()
    assert not flips.any()


def test_banks_share_a_step():
    make_epoch = functools.partial(epochs.make_epoch, driver="loop")
    made = [make_labels(SET, TEACHER, RECIPE, seed=seed) for seed in (0, 1)]
    program = Task(RECIPE, STUDENT, SET, None, soft_labels=made[0]).program
    make_epoch(program, soft_labels=made[0])
    before = epochs._make_jitted_step.cache_info()
    make_epoch(program, soft_labels=made[1])
    after = epochs._make_jitted_step.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (0, 1)


def test_labels_of_a_teacher_under_another_normalisation_are_others():
    """The same weights, and other logits: another run, and a row of its own in a report."""
    info = dataclasses.replace(TEACHER.info, normalisation=Normalisation((0.1,), (0.2,)))
    teachers = TEACHER, TEACHER._replace(info=info)
    tasks = [Task(RECIPE, STUDENT, SET, None, soft_labels=make_labels(SET, one, RECIPE, seed=0)) for one in teachers]
    assert tasks[0].identity() != tasks[1].identity()
    # Rows of earlier versions hold no more, and are known again by `--rekey`.
    assert tasks[0].record["soft_labels"] == tasks[0].soft_labels.info.record
    labels = {"images": "rded", "labels": "bank"}
    rows = [{**task.record, "labels": labels, "seed": seed, "top1_last": 50.0} for seed, task in enumerate(tasks)]
    assert [result.n for result in make_grid(rows, "images", "labels").cells.values()] == [1, 1]
