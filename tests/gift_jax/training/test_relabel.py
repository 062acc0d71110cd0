"""Labels made from a teacher: whose views they are of, how many there are, and that students replay them."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from setups import INFO, distilled_set, evaluation_set, random_teacher

from gift_jax.data.fkd import StoredBatches, problems
from gift_jax.models import get_model
from gift_jax.recipes.recipe import Recipe
from gift_jax.studies.cells import Cell
from gift_jax.training import epochs
from gift_jax.training.relabel import make_labels
from gift_jax.training.replay import replay
from gift_jax.training.step import make_program

TEACHER, SET, STUDENT = random_teacher(), distilled_set(22), get_model(INFO.spec)
RECIPE = Recipe(
    epochs=4,
    batch_size=10,
    augment="flip",
    smallest_crop=0.5,
    evaluations=1,
    normalisation=TEACHER.info.normalisation,
)
KINDS = {"one": {"whole": True}, "few": {"views": 2}, "bank": {}}


def by_image(flat):
    """Boxes, flips and logits in the set's order."""
    places = np.argsort(flat.indices)
    return flat.boxes[places], flat.flips[places], flat.logits[places]


def teacher_logits(boxes, flips):
    unread = ()
    batch = StoredBatches(unread, jnp.asarray(boxes), jnp.asarray(flips), unread, unread, unread, unread)
    seen, _ = replay(jnp.asarray(SET.images), batch, "none", "raw", TEACHER.info.normalisation)
    return np.asarray(TEACHER.logits(seen))


@pytest.mark.parametrize("kind", KINDS)
def test_made_epochs_are_sound_and_differ(kind):
    made = make_labels(SET, TEACHER, RECIPE, seed=3, **KINDS[kind])
    found = [made.flat(number) for number in range(RECIPE.epochs)]
    assert [problems(flat, made.info) for flat in found] == [[]] * 4
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


def test_bytes_are_of_what_would_be_stored():
    sizes = {kind: make_labels(SET, TEACHER, RECIPE, seed=0, **more).label_bytes for kind, more in KINDS.items()}
    assert sizes == {"one": 22 * 10 * 2, "few": 2 * 22 * 10 * 2, "bank": 4 * 22 * 10 * 2}


def test_without_crops_and_flips_every_view_is_the_whole_image():
    plain = Recipe(epochs=2, batch_size=10, augment="none", normalisation=TEACHER.info.normalisation)
    boxes, flips, _ = by_image(make_labels(SET, TEACHER, plain, seed=0).flat(1))
    assert (boxes == [0, 0, 8, 8]).all()
    assert not flips.any()


def test_students_replay_them_and_banks_share_a_step():
    recipe = dataclasses.replace(RECIPE, batch_size=11)  # no smaller batch to compile
    made = [make_labels(SET, TEACHER, recipe, seed=seed) for seed in (0, 1)]
    program = make_program(recipe, STUDENT, SET, None, made[0]).compiled()
    for labels in made:
        epochs.make_epoch(program, driver="loop", soft_labels=labels)
    before = epochs._make_jitted_step.cache_info()
    epochs.make_epoch(program, driver="loop", soft_labels=make_labels(SET, TEACHER, recipe, seed=2))
    after = epochs._make_jitted_step.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (0, 1)
    cells = [Cell({}, recipe, STUDENT, SET, None, evaluation_set(), 0, soft_labels=labels) for labels in made]
    assert cells[0].configuration() != cells[1].configuration()
    row = cells[0].run(lambda count, loss: None)
    assert row["soft_labels"]["order"] == "seed 0"
    assert np.isfinite(row["losses"][-1][1])
