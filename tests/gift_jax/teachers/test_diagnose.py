"""Teachers whose classes were really permuted and whose statistics were really swapped are found out."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from setups import BATCH_SPEC, INFO, settled

from gift_jax.data.digits import load_split
from gift_jax.data.evaluation import load_digits_test
from gift_jax.data.pixels import to_input
from gift_jax.evaluate import make_evaluator
from gift_jax.models import ModelSpec, get_model
from gift_jax.pixels.dsa import shift
from gift_jax.teachers import diagnose
from gift_jax.teachers.diagnose import KNOWN, examine, predict
from gift_jax.teachers.teacher import make_teacher

TRAINED_WITH = KNOWN["none, grey"]
SPEC = ModelSpec("conv2", 10, 8, 1, (("norm", "none"), ("width", 16)))


@pytest.fixture(scope="module")
def weights():
    """A ConvNet trained on the digits, pixels neither shifted nor scaled: (params, batch_stats)."""
    model, split = get_model(SPEC), load_split()
    params, stats = model.init(jax.random.key(0))
    images = to_input(jnp.asarray(split.train_images), "raw", TRAINED_WITH)
    tx = optax.sgd(0.05, momentum=0.9)

    def loss(params):
        logits, _ = model.apply(params, stats, images, train=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, split.train_labels).mean()

    @jax.jit
    def step(params, state):
        updates, state = tx.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    state = tx.init(params)
    for _ in range(300):
        params, state = step(params, state)
    return params, stats


def teacher_of(weights, normalisation=TRAINED_WITH):
    info = dataclasses.replace(INFO, options=dict(SPEC.options), normalisation=normalisation)
    return make_teacher(info, *weights)


def permuted(weights, order):
    """The same network with output t standing for class order[t]."""
    params, stats = weights
    classifier = {name: array[..., order] for name, array in params["classifier"].items()}
    return {**params, "classifier": classifier}, stats


def test_predictions_are_the_evaluators(weights):
    teacher, digits = teacher_of(weights), load_digits_test()
    expected = make_evaluator(teacher.model, digits, TRAINED_WITH)(teacher.params, {})
    assert predict(teacher, digits, TRAINED_WITH)[1] == pytest.approx(expected)
    assert expected.top1 > 90


def test_the_order_of_the_classes_is_found(weights):
    right = examine(teacher_of(weights), load_digits_test(), "its own", TRAINED_WITH)
    np.testing.assert_array_equal(right.order, np.arange(10))
    assert right.reordered == pytest.approx(right.accuracy.top1)
    order = np.random.default_rng(1).permutation(10)
    finding = examine(teacher_of(permuted(weights, order)), load_digits_test(), "its own", TRAINED_WITH)
    np.testing.assert_array_equal(finding.order, order)
    assert finding.accuracy.top1 < 40
    assert finding.reordered == pytest.approx(right.reordered)
    assert diagnose.class_order(finding, "abcdefghij") == tuple("abcdefghij"[label] for label in order)


def test_swapped_statistics_are_found(weights):
    findings = diagnose.diagnose(teacher_of(weights, KNOWN["mnist"]), load_digits_test())
    assert findings[0].normalisation == KNOWN["mnist"]
    assert max(findings, key=lambda finding: finding.accuracy.top1).name == "none, grey"
    assert max(finding.accuracy.top1 for finding in findings) > findings[0].accuracy.top1 + 5
    assert {finding.name for finding in findings} == {"its own", "digits", "half, grey", "none, grey"}


def test_orders_of_a_guessing_teacher_do_not_count(weights):
    """Estimated and measured on the same images, ten classes of noise would score several points above chance."""
    digits = load_digits_test()
    noise = dataclasses.replace(digits, labels=np.random.default_rng(0).permutation(digits.labels))
    finding = examine(teacher_of(weights), noise, "its own", TRAINED_WITH)
    classes, _ = predict(teacher_of(weights), noise, TRAINED_WITH)
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


def test_other_first_layers_tell_nothing(weights):
    images = load_digits_test().images
    assert diagnose.count_first_layer(get_model(SPEC), *weights, images, TRAINED_WITH) == []
    assert diagnose.told_normalisation([]) is None
    params, stats = settled(TRAINED_WITH)
    strange = jax.tree.map(lambda leaf: leaf + 1, stats)
    counted = diagnose.count_first_layer(get_model(BATCH_SPEC), params, strange, images, TRAINED_WITH)
    assert diagnose.told_normalisation(counted) is None
