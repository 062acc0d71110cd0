"""Exact top-1 and top-5 accuracy over a whole evaluation set."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.compiling import jit
from gift_jax.data.datasets import Normalisation
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.pixels import to_input
from gift_jax.models import Model, Variables

BATCH_SIZE = 1000


class Accuracy(NamedTuple):
    """Shares of images, in percent, whose label is the first, or among the first five, of the logits."""

    top1: float
    top5: float


Evaluator = Callable[[Variables, Variables], Accuracy]


def label_ranks(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """How many classes come before the label: 0 is a top-1 hit.

    Args: logits, float [B, C]; labels, int [B]. Returns: int [B]. Of equal logits the lower class comes first,
    as argmax has it; a row with a NaN ranks last, so that a broken network never scores.
    """
    true = jnp.take_along_axis(logits, labels[:, None], axis=1)
    before = (logits > true) | ((logits == true) & (jnp.arange(logits.shape[1])[None] < labels[:, None]))
    broken = jnp.isnan(logits).any(axis=1)
    return jnp.where(broken, logits.shape[1], jnp.sum(before, axis=1))


@functools.lru_cache
def _make_counter(model: Model, normalisation: Normalisation) -> Callable[..., jax.Array]:
    def count(
        params: Variables, batch_stats: Variables, images: jax.Array, labels: jax.Array, real: jax.Array
    ) -> jax.Array:
        logits, _ = model.apply(params, batch_stats, to_input(images, "raw", normalisation))
        ranks = label_ranks(logits, labels)
        return jnp.stack([jnp.sum((ranks < k) & real) for k in (1, 5)])

    return jit(count)


def make_evaluator(
    model: Model, evaluation_set: EvaluationSet, normalisation: Normalisation, *, batch_size: int = BATCH_SIZE
) -> Evaluator:
    """Prepare `(params, batch_stats) -> Accuracy` over the set.

    The last batch is padded to the common shape and its padding masked, so every image counts once.
    """
    total = len(evaluation_set.labels)
    batch_size = min(batch_size, total)
    batches = [_padded(evaluation_set, start, batch_size) for start in range(0, total, batch_size)]
    count = _make_counter(model, normalisation)

    def evaluate(params: Variables, batch_stats: Variables) -> Accuracy:
        hits = sum(np.asarray(count(params, batch_stats, *batch)) for batch in batches)
        return Accuracy(*(100 * np.asarray(hits) / total).tolist())

    return evaluate


def _padded(evaluation_set: EvaluationSet, start: int, batch_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images = evaluation_set.images[start : start + batch_size]
    labels = evaluation_set.labels[start : start + batch_size]
    missing = batch_size - len(labels)
    padded = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
    return padded, np.pad(labels, (0, missing)), np.arange(batch_size) < len(labels)
