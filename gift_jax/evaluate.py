"""Exact top-1 and top-5 accuracy over a whole evaluation set."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import PixelSpace
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.pixels import to_input
from gift_jax.models import Network, Variables
from gift_jax.runtime.compiling import cached_factory, jit, platform
from gift_jax.runtime.sharding import put_shares

BATCH_SIZE = 1000
# Pixels of a batch, and its fewest images. On accelerators 167 images of 224 pixels, half a gigabyte after ResNet's
# first convolution; on the CPU 10, whose arrays are still in its caches when they are used again (docs/performance.md).
_LARGEST, _LARGEST_ON_CPU = (2**23, 50), (2**19, 10)


BROKEN = 2**30  # the rank of a label among logits that are not all numbers


class Accuracy(NamedTuple):
    """Shares of images, in percent, whose label is the first, or among the first five, of the logits.

    finite: whether all logits are numbers.
    """

    top1: float
    top5: float
    finite: bool = True


Evaluator = Callable[[Variables, Variables], Accuracy]
Ranker = Callable[[Variables, Variables], np.ndarray]


def label_ranks(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """How many classes come before the label: 0 is a top-1 hit.

    Args: logits, float [B, C]; labels, int [B]. Returns: int [B]. Of equal logits the lower class comes first,
    as argmax has it; a row that is not finite has the rank `BROKEN`, so that a broken network never scores.
    """
    true = jnp.take_along_axis(logits, labels[:, None], axis=1)
    before = (logits > true) | ((logits == true) & (jnp.arange(logits.shape[1])[None] < labels[:, None]))
    broken = ~jnp.isfinite(logits).all(axis=1)
    return jnp.where(broken, BROKEN, jnp.sum(before, axis=1))


@cached_factory
def make_batch_ranker(
    model: Network, pixel_space: PixelSpace, normalisation: Normalisation, mesh: Mesh | None
) -> Callable[..., jax.Array]:
    """Build `(params, batch_stats, images [B, H, W, C], labels int [B]) -> ranks int [B]`, jitted."""

    def rank(params: Variables, batch_stats: Variables, images: jax.Array, labels: jax.Array) -> jax.Array:
        logits, _ = model.apply(params, batch_stats, to_input(images, pixel_space, normalisation))
        return label_ranks(logits, labels)

    return jit(rank) if mesh is None else jit(rank, out_shardings=NamedSharding(mesh, PartitionSpec()))


def in_batches(function: Callable[..., Any], size: int, *arrays: np.ndarray, pad: bool = True) -> Any:
    """What a function of batches gives for all rows of arrays [N, ...], as NumPy arrays, joined along the rows.

    With pad, the last batch is filled up with zeros to the common shape, and what comes of these is dropped.
    """
    total, parts = len(arrays[0]), []
    for start in range(0, total, size):
        share = slice(0, size if pad else min(size, total - start))
        made = function(*(_rows(array, start, share) for array in arrays))
        parts.append(jax.tree.map(lambda leaf, known=total - start: np.asarray(leaf)[:known], made))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def largest_batch(side: int) -> int:
    """Images that a device evaluates at once, by their side in pixels."""
    pixels, fewest = _LARGEST_ON_CPU if platform() == "cpu" else _LARGEST
    return max(fewest, pixels // side**2)


def make_ranker(
    model: Network,
    evaluation_set: EvaluationSet,
    normalisation: Normalisation,
    *,
    batch_size: int = BATCH_SIZE,
    mesh: Mesh | None = None,
) -> Ranker:
    """Prepare `(params, batch_stats) -> ranks [N]` over the set, as of `label_ranks`.

    The last batch is padded to the common shape and the padding's ranks dropped, so every image counts once. Batches
    are taken one after another, so that a set that is mapped from disk is never in memory as a whole. Over a mesh each
    device, and so each host, reads and computes its share of every batch; the weights are then on all of them.
    """
    total, devices = len(evaluation_set.labels), mesh.size if mesh else 1
    largest = devices * largest_batch(evaluation_set.images.shape[1])
    batch_size = devices * -(-min(batch_size, total, largest) // devices)
    rank_batch = make_batch_ranker(model, evaluation_set.pixel_space, normalisation, mesh)

    def rank(params: Variables, batch_stats: Variables) -> np.ndarray:
        ranks, running = [], np.zeros(0, np.int32)
        for start in range(0, total, batch_size):
            # The next batch is read while the last one is being computed.
            following = rank_batch(params, batch_stats, *_padded(evaluation_set, start, batch_size, mesh))
            ranks, running = [*ranks, np.asarray(running)], following
        return np.concatenate([*ranks, np.asarray(running)])[:total]

    return rank


def make_evaluator(
    model: Network,
    evaluation_set: EvaluationSet,
    normalisation: Normalisation,
    *,
    batch_size: int = BATCH_SIZE,
    mesh: Mesh | None = None,
) -> Evaluator:
    """Prepare `(params, batch_stats) -> Accuracy` over the set; see `make_ranker`."""
    rank = make_ranker(model, evaluation_set, normalisation, batch_size=batch_size, mesh=mesh)

    def evaluate(params: Variables, batch_stats: Variables) -> Accuracy:
        ranks = rank(params, batch_stats)
        top1, top5 = (100 * int(np.sum(ranks < k)) / len(ranks) for k in (1, 5))
        return Accuracy(top1, top5, bool((ranks < BROKEN).all()))

    return evaluate


def _padded(
    evaluation_set: EvaluationSet, start: int, batch_size: int, mesh: Mesh | None
) -> list[np.ndarray | jax.Array]:
    """Images [batch_size, ...] and their labels; beyond the last one come zeros."""
    batches = []
    for array in (evaluation_set.images, evaluation_set.labels):
        read = functools.partial(_rows, array, start)
        shape = (batch_size, *array.shape[1:])
        batches.append(read(slice(0, batch_size)) if mesh is None else put_shares(read, shape, mesh))
    return batches


def _rows(array: np.ndarray, start: int, share: slice) -> np.ndarray:
    rows = array[start + share.start : start + share.stop]
    missing = share.stop - share.start - len(rows)
    return np.pad(rows, ((0, missing), *((0, 0),) * (array.ndim - 1)))
