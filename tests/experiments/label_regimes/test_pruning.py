"""Pruning scores against plain restatements of their definitions, and the images that each method keeps."""

import itertools

import numpy as np
import pytest
import torch

from experiments.label_regimes import pruning
from experiments.label_regimes.pruning import Dynamics, observe
from gift_jax.errors import GiftError

EPOCHS, COUNT, CLASSES = 12, 40, 4
LABELS = np.repeat(np.arange(CLASSES), COUNT // CLASSES)
LOGITS = np.random.default_rng(0).normal(size=(EPOCHS, COUNT, CLASSES)) * 3


@pytest.fixture
def dynamics():
    looks = [observe(logits, LABELS) for logits in LOGITS]
    return Dynamics(*(np.concatenate(arrays) for arrays in zip(*looks, strict=True)))


def test_an_event_of_forgetting_is_right_and_then_wrong(dynamics):
    for image in range(COUNT):
        right = [LOGITS[epoch, image].argmax() == LABELS[image] for epoch in range(EPOCHS)]
        events = sum(before and not after for before, after in itertools.pairwise(right))
        assert pruning.forgetting(dynamics)[image] == (events if any(right) else EPOCHS)


def test_el2n_is_the_mean_error_of_early_probabilities(dynamics):
    probabilities = torch.softmax(torch.from_numpy(LOGITS[:10]), dim=-1)
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(LABELS), CLASSES)
    expected = torch.linalg.vector_norm(probabilities - one_hot, dim=-1).mean(dim=0)
    np.testing.assert_allclose(pruning.el2n(dynamics), expected.numpy(), rtol=1e-5)


def test_the_area_under_the_margin_is_of_logits(dynamics):
    logits, rows = torch.from_numpy(LOGITS), torch.arange(COUNT)
    others = logits.clone()
    others[:, rows, LABELS] = -torch.inf
    expected = (logits[:, rows, LABELS] - others.amax(dim=-1)).mean(dim=0)
    np.testing.assert_allclose(pruning.aum(dynamics), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_the_hardest_are_kept_and_equal_ones_drawn():
    difficulty = np.array([0.0, 3.0, 1.0, 1.0, 1.0, 2.0])
    drawn = [pruning.keep_hardest(difficulty, 3, np.random.default_rng(seed)) for seed in range(20)]
    assert {tuple(rows[:2]) for rows in drawn} == {(1, 5)}
    assert {int(rows[2]) for rows in drawn} == {2, 3, 4}


def budgets(sizes, count):
    """CCS's algorithm 1 in words: strata by size, each as many as an even share of what is left, or all it has."""
    shares, left = {}, count
    for place, stratum in enumerate(sorted(range(len(sizes)), key=lambda stratum: sizes[stratum])):
        shares[stratum] = min(sizes[stratum], left // (len(sizes) - place))
        left -= shares[stratum]
    return [shares[stratum] for stratum in range(len(sizes))]


def test_ccs_covers_all_but_the_hardest_evenly():
    # Of 24 images the seven hardest are cut off; the others fill the first, the sixth and the last of ten strata.
    difficulty = np.array([0.0] * 10 + [0.5] * 4 + [1.0] * 3 + [9.0] * 7)
    chosen = pruning.keep_covering(difficulty, 10, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 10
    kept = np.sort(difficulty)[: 24 - int(0.3 * 24)]
    assert kept[-1] == 1.0
    sizes = np.histogram(kept, bins=10, range=(0, 1))[0]
    found = np.histogram(difficulty[chosen], bins=10, range=(0, 1))[0]
    assert found.tolist() == budgets(sizes.tolist(), 10) == [4, 0, 0, 0, 0, 3, 0, 0, 0, 3]


def test_ccs_takes_all_there_are_if_that_is_asked_for():
    assert sorted(pruning.keep_covering(np.arange(7.0), 7, np.random.default_rng(0))) == list(range(7))
    assert len(set(pruning.keep_covering(np.zeros(7), 4, np.random.default_rng(0)).tolist())) == 4


@pytest.mark.parametrize("method", pruning.METHODS)
def test_each_method_keeps_as_many_of_each_class(method, dynamics):
    rows = pruning.choose_rows(method, dynamics, LABELS, 3)
    assert len(set(rows.tolist())) == 12
    np.testing.assert_array_equal(LABELS[rows], np.repeat(np.arange(CLASSES), 3))
    np.testing.assert_array_equal(rows, pruning.choose_rows(method, dynamics, LABELS, 3))


def test_what_cannot_be_chosen_is_refused(dynamics):
    with pytest.raises(GiftError, match="at most 10, the real images of class 0, not 11"):
        pruning.choose_rows("aum", dynamics, LABELS, 11)


def test_given_rows_are_taken_in_their_order():
    order = np.arange(COUNT)[::-1]
    np.testing.assert_array_equal(pruning.ranked_rows(order, LABELS, 2, "f")[:4], [9, 8, 19, 18])


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (np.array([0, 40]), "from 0 to 39"),
        (np.array([-1, 2]), "from 0 to 39"),
        (np.array([3, 3]), "must be different"),
        (np.array([0.5]), "holds float64"),
        (np.arange(35), "names 5 images of class 3, fewer than --ipc 6"),
        (np.array([], np.int64), "give row numbers"),
    ],
)
def test_rows_that_cannot_be_are_refused(order, message):
    with pytest.raises(GiftError, match=f"rows.npy: .*{message}"):
        pruning.ranked_rows(order, LABELS, 6, "rows.npy")
