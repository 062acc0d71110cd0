"""Whitened sets with stored logits (DATM's): every loss without a teacher, test images under the same whitening."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import short_form
from setups import INFO, distilled_set, evaluation_set, random_digits

from gift_jax.data.datasets import Normalisation
from gift_jax.data.evaluation import EvaluationSet, whiten
from gift_jax.data.zca import fit_zca
from gift_jax.errors import GiftError
from gift_jax.evaluate import make_evaluator
from gift_jax.losses import LOSSES
from gift_jax.models import get_model
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task
from gift_jax.training.program import init_state, make_data
from gift_jax.training.step import make_step

STUDENT = get_model(INFO.spec)
COUNT = 20
LABELS = np.arange(COUNT, dtype=np.int32) // 2  # row // ipc
LOGITS = np.random.default_rng(3).normal(size=(COUNT, 10)).astype("f") * 3
WHITENED = np.random.default_rng(4).normal(size=(COUNT, 8, 8, 1)).astype("f") * 2


def whitened_set(**changes):
    fields = {"images": WHITENED, "labels": LABELS, "soft_labels": LOGITS, "pixel_space": "zca", "method": "datm"}
    return distilled_set(COUNT, **{**fields, **changes})


@pytest.fixture(scope="module")
def zca():
    return fit_zca([random_digits(200, seed=5)[0]])


@pytest.mark.parametrize("loss", short_form(LOSSES, ["gift"]))
def test_each_loss_is_of_stored_logits_and_hard_labels_on_images_as_stored(loss, key):
    assert (LOGITS.argmax(1) != LABELS).any()
    program = Task(Recipe(loss=loss, augment="none", batch_size=COUNT, epochs=1), STUDENT, whitened_set()).program
    state, order = init_state(program, key, 1e-3), np.random.default_rng(6).permutation(COUNT).astype(np.int32)
    logits, _ = STUDENT.apply(state.params, state.batch_stats, jnp.asarray(WHITENED[order]), train=True, key=key)
    expected = jnp.mean(LOSSES[loss](logits, jnp.asarray(LOGITS[order]), jnp.asarray(LABELS[order])))
    _, metrics = jax.jit(make_step(program))(state, make_data(whitened_set(), None), order, key)
    np.testing.assert_allclose(metrics.loss, expected, rtol=1e-5)


def test_test_images_are_whitened_once_and_never_normalised(zca, key):
    raw = evaluation_set()
    params, batch_stats = STUDENT.init(key)
    whitened = whiten(raw, zca)
    logits, _ = STUDENT.apply(params, batch_stats, jnp.asarray(zca.whiten(raw.images)))
    top1 = 100 * np.mean(np.asarray(logits).argmax(1) == raw.labels)
    assert make_evaluator(STUDENT, whitened, Normalisation((0.9,), (0.1,)))(params, batch_stats).top1 == top1
    np.testing.assert_array_equal(whitened.images, zca.whiten(raw.images))
    assert (whitened.pixel_space, raw.pixel_space) == ("zca", "raw")


def test_test_images_are_whitened_once(zca):
    with pytest.raises(GiftError, match="must be uint8, or floats in"):
        whiten(whiten(evaluation_set(), zca), zca)


@pytest.mark.parametrize("space", ["normalised", "white"])
def test_other_pixel_spaces_of_test_images_are_refused(space):
    images, labels = random_digits(5)
    with pytest.raises(GiftError, match=f"in pixel space '{space}', expected"):
        EvaluationSet(images, labels, "digits", space)
