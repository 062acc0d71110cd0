"""Criteria against golden PyTorch values, and their promises at the edges."""

import functools
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gift_jax.losses import LOSSES, gift, kl, l2_normalize, reads_levels, refine_labels, smooth_labels

CASES = range(5)


@functools.cache
def load(golden):
    return np.load(golden / "losses.npz")


@functools.cache
def value_and_gradient(name):
    """(student's logits, teacher's, labels) -> the batch's mean and its gradient, compiled once a shape."""
    return jax.jit(jax.value_and_grad(lambda logits, teacher, labels: LOSSES[name](logits, teacher, labels).mean()))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_equal_pytorch(golden, name, case):
    file = load(golden)
    logits, teacher = (jnp.asarray(file[f"case{case}/{k}"]) for k in ("logits", "teacher_logits"))
    labels = jnp.asarray(file[f"case{case}/labels"], jnp.int32)
    loss, gradient = value_and_gradient(name)(logits, teacher, labels)
    np.testing.assert_allclose(loss, file[f"case{case}/{name}/loss"], rtol=1e-5, atol=2e-7)
    np.testing.assert_allclose(gradient, file[f"case{case}/{name}/grad"], rtol=1e-5, atol=2e-7)


def test_golden_file_has_every_loss_and_case(golden):
    names = {tuple(name.split("/")[:2]) for name in load(golden).files if name.endswith("/loss")}
    assert names == {(f"case{case}", name) for case in CASES for name in LOSSES}


def test_golden_values_can_be_made_again_and_only_new_ones_are_written(golden):
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("generate_losses", golden / "generate_losses.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name in LOSSES:
        for key, array in generate.compute(name, load(golden)).items():
            np.testing.assert_allclose(array, load(golden)[key], rtol=1e-5, atol=2e-7, err_msg=key)
    before = (golden / "losses.npz").read_bytes()
    with pytest.raises(SystemExit, match="case0/gift/grad already"):
        generate.main("gift")
    assert (golden / "losses.npz").read_bytes() == before


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in LOSSES), ("gift", {"soft": "probabilities"})])
def test_a_loss_says_whether_it_reads_more_than_the_softmax(name, options, key):
    """Adding a constant to all of the teacher's logits changes it, or does not."""
    logits, teacher = jax.random.normal(key, (2, 3, 7))
    losses = [LOSSES[name](logits, teacher + level, jnp.arange(3), **options) for level in (0.0, 1.0)]
    assert reads_levels(name, options) == (not np.allclose(*losses, rtol=1e-3, atol=1e-5))


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_unreduced(name, key):
    logits = jax.random.normal(key, (3, 7))
    losses = LOSSES[name](logits, logits[::-1], jnp.arange(3))
    assert losses.shape == (3,)
    alone = LOSSES[name](logits[1:2], logits[::-1][1:2], jnp.arange(3)[1:2])
    np.testing.assert_allclose(losses[1:2], alone, rtol=1e-6)


@pytest.mark.parametrize("teacher_scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_and_gradient_are_finite_at_zero_and_at_large_logits(name, scale, teacher_scale):
    logits = jnp.array([[1.0, -1.0, 0.5], [0.0, 1.0, -0.25]])
    loss, gradient = value_and_gradient(name)(scale * logits, teacher_scale * logits[::-1], jnp.arange(2))
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


@given(weight=st.floats(0.0, 4.0), smoothing=st.floats(0.0, 0.8), seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_readme_form_with_w_over_1_plus_w_is_the_codes_form(weight, smoothing, seed):
    logits, teacher = jax.random.normal(jax.random.key(seed), (2, 5, 10)) * 3
    labels = jnp.arange(5)
    code = gift(logits, teacher, labels, weight=weight, smoothing=smoothing)
    convex = gift(logits, teacher, labels, weight=weight / (1 + weight), smoothing=smoothing, form="convex")
    np.testing.assert_allclose(code, convex, atol=1e-6)


def test_refined_labels_are_the_sum_of_unit_vectors():
    teacher, labels = jnp.array([[3.0, 4.0, 0.0]]), jnp.array([2])
    hard = np.array([0.05, 0.05, 0.9]) / np.sqrt(0.05**2 + 0.05**2 + 0.9**2)
    np.testing.assert_allclose(refine_labels(teacher, labels)[0], [0.6, 0.8, 0] + 0.1 * hard, rtol=1e-6)


@pytest.mark.parametrize("num_classes", [2, 10, 1000])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothing_spreads_over_the_other_classes(num_classes, smoothing):
    row = np.asarray(smooth_labels(jnp.array([1]), num_classes, smoothing=smoothing))[0]
    np.testing.assert_allclose(row[1], 1 - smoothing, rtol=1e-6)
    np.testing.assert_allclose(np.delete(row, 1), smoothing / (num_classes - 1), atol=1e-8)


def test_smoothed_cross_entropy_is_pytorchs(key):
    """By its definition: a share is spread over all classes, the true one among them."""
    logits, labels = jax.random.normal(key, (3, 5)), jnp.array([0, 4, 2])
    targets = 0.2 * jax.nn.one_hot(labels, 5) + 0.8 / 5
    expected = -jnp.sum(targets * jax.nn.log_softmax(logits), axis=1)
    np.testing.assert_allclose(LOSSES["ce"](logits, logits, labels, smoothing=0.8), expected, rtol=1e-5)


def test_kl_with_t_squared_is_t_squared_times_as_large(key):
    logits, teacher = jax.random.normal(key, (2, 4, 10))
    plain, squared = (kl(logits, teacher, jnp.arange(4), temperature=4.0, t_squared=flag) for flag in (False, True))
    np.testing.assert_allclose(squared, 16 * plain, rtol=1e-6)


def test_cosine_losses_ignore_the_length_of_the_students_logits(key):
    logits, teacher = jax.random.normal(key, (2, 4, 10))
    for name in ("cosine", "gift"):
        loss = LOSSES[name](logits, teacher, jnp.arange(4))
        np.testing.assert_allclose(LOSSES[name](100 * logits, teacher, jnp.arange(4)), loss, atol=1e-6)


def test_l2_normalize_keeps_zero_and_its_gradient():
    vectors = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(l2_normalize(vectors), [[0, 0], [0.6, 0.8]], rtol=1e-6)
    assert np.isfinite(jax.grad(lambda v: l2_normalize(v).sum())(vectors)).all()


def test_refinement_of_probabilities_by_hand():
    """softmax of (0, log 3) / 1 is (1, 3) / 4, of length sqrt(10) / 4; without weight nothing is added."""
    logits, labels = jnp.log(jnp.array([[1.0, 3.0]])), jnp.array([0])
    refined = refine_labels(logits, labels, weight=0.0, soft="probabilities")
    np.testing.assert_allclose(refined, np.array([[1.0, 3.0]]) / np.sqrt(10), rtol=1e-6)
    halved = refine_labels(logits * 2, labels, weight=0.0, soft="probabilities", temperature=2.0)
    np.testing.assert_allclose(halved, refined, rtol=1e-6)
    loss = gift(jnp.array([[1.0, 3.0]]), logits, labels, weight=0.0, soft="probabilities")
    np.testing.assert_allclose(loss, 0.0, atol=1e-6)
