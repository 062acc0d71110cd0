"""Real images chosen by how a training went: scores of their difficulty, and the images that each method keeps.

As many images are kept of each class, as distilled sets have them; the published methods choose over all together.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from gift_jax.errors import GiftError

from ..common.real_images import rows_by_class

EARLY = 10  # epochs that EL2N is averaged over, as CCS's authors compute it
CUTOFF = 0.3  # share of the hardest images that CCS leaves out: its authors' at their highest pruning rate of CIFAR-10
STRATA = 50


class Dynamics(NamedTuple):
    """How a network saw each image after each epoch, all [epochs, N].

    correct: bool, top-1 hits; margins: float32, the label's logit minus the largest other one; errors: float32, the
    Euclidean distance of the probabilities from the one-hot label.
    """

    correct: np.ndarray
    margins: np.ndarray
    errors: np.ndarray


def observe(logits: np.ndarray, labels: np.ndarray) -> Dynamics:
    """What one look at all images tells. Args: logits [N, C >= 2]; labels, int [N]. Returns: its fields, [1, N]."""
    rows = np.arange(len(labels))
    own, others = logits[rows, labels], logits.copy()
    others[rows, labels] = -np.inf
    margins = own - others.max(axis=1)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities[rows, labels] -= 1
    errors = np.sqrt(np.square(probabilities).sum(axis=1))
    return Dynamics(margins[None] > 0, margins[None].astype(np.float32), errors[None].astype(np.float32))


def forgetting(dynamics: Dynamics) -> np.ndarray:
    """Epochs at which an image that was right is wrong; of one that never was right, the number of all. float32 [N].

    Reference: Toneva et al. (2019), An Empirical Study of Example Forgetting, section 3, which looks at each image as
    it is trained on.
    """
    correct = dynamics.correct
    events = np.sum(correct[:-1] & ~correct[1:], axis=0)
    return np.where(correct.any(axis=0), events, len(correct)).astype(np.float32)


def el2n(dynamics: Dynamics) -> np.ndarray:
    """Mean error over the first epochs, ten at most, float32 [N].

    Reference: Paul et al. (2021), Deep Learning on a Data Diet, section 2, which averages over ten networks instead.
    """
    return dynamics.errors[:EARLY].mean(axis=0)


def aum(dynamics: Dynamics) -> np.ndarray:
    """Area under the margin: its mean over all epochs, float32 [N]; low where an image is hard, or labelled wrongly.

    Reference: Pleiss et al. (2020), Identifying Mislabeled Data using the Area Under the Margin Ranking, section 3.
    """
    return dynamics.margins.mean(axis=0)


def keep_hardest(difficulty: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Places of the most difficult images; equal ones in random order. Args: difficulty [N]. Returns: int [count]."""
    shuffled = generator.permutation(len(difficulty))
    return shuffled[np.argsort(-difficulty[shuffled], kind="stable")][:count]


def keep_covering(difficulty: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Places drawn from strata of equal width of difficulty, without the hardest images. Returns: int [count].

    The budget is spread evenly over strata, the smallest first, which leave to the others what they lack. There are as
    many strata as images to draw, 50 at most: with more of them than that, the smallest get none.
    Reference: Zheng et al. (2023), Coverage-centric Coreset Selection, algorithm 1.
    """
    hardest = min(int(CUTOFF * len(difficulty)), len(difficulty) - count)
    pool = np.argsort(difficulty, kind="stable")[: len(difficulty) - hardest]
    edges = np.linspace(difficulty[pool[0]], difficulty[pool[-1]], min(STRATA, count) + 1)
    strata = np.searchsorted(edges[1:-1], difficulty[pool], side="right")
    members = sorted((pool[strata == stratum] for stratum in range(len(edges) - 1)), key=len)
    chosen: list[np.ndarray] = []
    for place, own in enumerate(members):
        share = (count - sum(map(len, chosen))) // (len(members) - place)
        chosen.append(generator.permutation(own)[:share])
    return np.concatenate(chosen)


Score = Callable[[Dynamics], np.ndarray]
Keep = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
METHODS: Mapping[str, tuple[Score, Keep]] = {
    "forgetting": (forgetting, keep_hardest),
    "el2n": (el2n, keep_hardest),
    "aum": (lambda dynamics: -aum(dynamics), keep_hardest),
    "ccs": (lambda dynamics: -aum(dynamics), keep_covering),
}
"""Scores of difficulty, the higher the harder, and which images are kept by them."""


def choose_rows(method: str, dynamics: Dynamics, labels: np.ndarray, ipc: int) -> np.ndarray:
    """Rows that a method keeps of each class. Args and returns: as of `rows_by_class`. Raises: GiftError."""
    score, keep = METHODS[method]
    difficulty, generator = score(dynamics), np.random.default_rng(0)
    return rows_by_class(labels, ipc, lambda rows: rows[keep(difficulty[rows], ipc, generator)])


def ranked_rows(order: np.ndarray, labels: np.ndarray, ipc: int, where: str) -> np.ndarray:
    """The first rows of each class in a given order, class after class. Returns: int [classes * ipc].

    Args: order, rows of the training images, the most wanted first; labels, int [N]; where, it stood. Raises: GiftError
    if it is not rows, names one twice, or has fewer of a class.
    """
    if order.ndim != 1 or order.dtype.kind not in "iu" or not len(order):
        raise GiftError(f"{where}: holds {order.dtype}{list(order.shape)}; give row numbers of the training images")
    if order.min() < 0 or order.max() >= len(labels) or len(np.unique(order)) < len(order):
        raise GiftError(f"{where}: rows must be different, and from 0 to {len(labels) - 1} as the training images are")
    counts = np.bincount(labels[order], minlength=labels.max() + 1)
    if counts.min() < ipc:
        raise GiftError(f"{where}: names {counts.min()} images of class {counts.argmin()}, fewer than --ipc {ipc}")
    return np.concatenate([order[labels[order] == label][:ipc] for label in range(len(counts))])
