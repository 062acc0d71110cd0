"""Exact accuracy: padding, ties and broken networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from setups import INFO, evaluation_set, make_variables

from gift_jax.data.datasets import DIGITS_NORMALISATION
from gift_jax.data.network_input import to_input
from gift_jax.evaluate import BROKEN, label_ranks, make_evaluator
from gift_jax.models import get_model

MODEL = get_model(INFO.spec)


def by_hand(images, labels, params, batch_stats):
    logits = np.asarray(MODEL.apply(params, batch_stats, to_input(jnp.asarray(images), "raw", DIGITS_NORMALISATION))[0])
    order = np.argsort(-logits, axis=1, kind="stable")
    hits = order == labels[:, None]
    return 100 * hits[:, :1].any(1).mean(), 100 * hits[:, :5].any(1).mean()


@pytest.mark.parametrize("batch_size", [1, 5, 23, 1000])
def test_accuracy_is_exact_whatever_the_batch(batch_size):
    data, variables = evaluation_set(23), make_variables()
    accuracy = make_evaluator(MODEL, data, DIGITS_NORMALISATION, batch_size=batch_size)(*variables)
    assert accuracy == (*map(pytest.approx, by_hand(data.images, data.labels, *variables)), True)


def test_ties_go_to_the_lower_class_as_argmax_has_it():
    logits = jnp.array([[1.0, 2.0, 2.0], [1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(label_ranks(logits, jnp.array([1, 2, 2])), [0, 1, 2])


def test_a_network_of_nans_scores_nothing():
    logits = jnp.array([[jnp.nan, 1.0], [jnp.nan, jnp.nan]])
    assert (np.asarray(label_ranks(logits, jnp.array([1, 0]))) == BROKEN).all()
    broken = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), make_variables())
    assert make_evaluator(MODEL, evaluation_set(), DIGITS_NORMALISATION)(*broken) == (0, 0, False)


def test_fewer_than_five_classes_have_a_top5():
    assert (np.asarray(label_ranks(jnp.eye(3), jnp.arange(3))) == 0).all()
