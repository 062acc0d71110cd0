"""What counts for an explanation. (Permuted classes and swapped statistics: test_teacher_check.py.)"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from setups import BATCH_SPEC, INFO, PLAIN_SPEC, SEEN, settled, trained_on_digits

from gift_jax.data.evaluation import load_digits_test
from gift_jax.models import get_model
from gift_jax.pixels.dsa import shift
from gift_jax.teachers import diagnose
from gift_jax.teachers.diagnose import KNOWN, examine, predict
from gift_jax.teachers.teacher import make_teacher


def test_orders_of_a_guessing_teacher_do_not_count():
    """Estimated and measured on the same images, ten classes of noise would score several points above chance."""
    digits = load_digits_test()
    noise = dataclasses.replace(digits, labels=np.random.default_rng(0).permutation(digits.labels))
    info = dataclasses.replace(INFO, options=dict(PLAIN_SPEC.options), normalisation=SEEN)
    teacher = make_teacher(info, *trained_on_digits())
    finding = examine(teacher, noise, "its own", SEEN)
    classes, _ = predict(teacher, noise, SEEN)
    assert finding.reordered < 10 + 3 * 100 * (0.1 * 0.9 / len(digits.labels)) ** 0.5
    assert 100 * (finding.order[classes] == noise.labels).mean() > 13


def test_confusion_and_order_by_hand():
    confusion = diagnose.confusion_matrix(np.array([0, 0, 1, 2, 2]), np.array([1, 1, 0, 2, 0]), 3)
    np.testing.assert_array_equal(confusion, [[0, 2, 0], [1, 0, 0], [1, 0, 1]])
    np.testing.assert_array_equal(diagnose.best_order(confusion), [1, 0, 2])
    np.testing.assert_array_equal(diagnose.best_order(np.zeros((4, 4), int)), np.arange(4))


def shifted(images):
    down, right = np.random.default_rng(0).integers(-1, 2, (2, len(images)))
    return shift(images, jnp.asarray(down), jnp.asarray(right))


@pytest.mark.parametrize("trained_with", ["digits", "mnist", "half, grey", "none, grey"])
@pytest.mark.parametrize("augmented", [{}, {"augment": shifted}, {"after": shifted}], ids=["plain", "black", "zeros"])
def test_a_first_batch_norm_tells_the_normalisation(trained_with, augmented):
    variables, images = settled(KNOWN[trained_with], **augmented), load_digits_test().images
    for own in (KNOWN["mnist"], KNOWN["digits"]):
        counted = diagnose.count_first_layer(get_model(BATCH_SPEC), *variables, images, own)
        told = diagnose.told_normalisation(counted)
        assert told is not None
        assert told.normalisation == KNOWN[trained_with]
        assert (told is counted[0]) == (own == KNOWN[trained_with])
        assert sorted(one.distance for one in counted)[1] > 10 * told.distance


def test_other_first_layers_tell_nothing():
    images = load_digits_test().images
    assert diagnose.count_first_layer(get_model(PLAIN_SPEC), *trained_on_digits(), images, SEEN) == []
    assert diagnose.told_normalisation([]) is None
    params, stats = settled(SEEN)
    strange = jax.tree.map(lambda leaf: leaf + 1, stats)
    counted = diagnose.count_first_layer(get_model(BATCH_SPEC), params, strange, images, SEEN)
    assert diagnose.told_normalisation(counted) is None
