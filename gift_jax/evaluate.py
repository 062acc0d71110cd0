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
from gift_jax.data.network_input import to_input
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


def in_batches(
    function: Callable[..., Any], size: int, *arrays: np.ndarray, pad: bool = True, mesh: Mesh | None = None
) -> Any:
    """What a function of batches gives for all rows of arrays [N, ...], as NumPy arrays, joined along the rows.

    With pad, the last batch is filled up with zeros to the common shape, and what comes of these is dropped.
    Args: mesh, over which each device reads its share.
    """
    total, running, parts = len(arrays[0]), [], []
    for start in range(0, total, size):
        count = size if pad else min(size, total - start)
        running.append(function(*(_read(array, start, count, mesh) for array in arrays)))
        if len(running) > 1:  # while a batch is computed, the next is read
            parts.append(jax.tree.map(np.asarray, running.pop(0)))
    parts += [jax.tree.map(np.asarray, made) for made in running]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:total], *parts)


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
) -> Callable[[Variables, Variables], np.ndarray]:
    """Prepare `(params, batch_stats) -> ranks [N]` over the set, as of `label_ranks`.

    Every image counts once. Batches are taken one after another, so that a set that is mapped from disk is never in
    memory as a whole. Over a mesh each device, and so each host, reads and computes its share of every batch; the
    weights are then on all of them.
    """
    total, devices = len(evaluation_set.labels), mesh.size if mesh else 1
    largest = devices * largest_batch(evaluation_set.images.shape[1])
    batch_size = devices * -(-min(batch_size, total, largest) // devices)
    rank_batch = make_batch_ranker(model, evaluation_set.pixel_space, normalisation, mesh)

    def rank(params: Variables, batch_stats: Variables) -> np.ndarray:
        of_batch, tests = functools.partial(rank_batch, params, batch_stats), evaluation_set
        return in_batches(of_batch, batch_size, tests.images, tests.labels, mesh=mesh)

    return rank


def make_evaluator(
    model: Network, evaluation_set: EvaluationSet, normalisation: Normalisation, **options: Any
) -> Evaluator:
    """Prepare `(params, batch_stats) -> Accuracy` over the set. Args: options, of `make_ranker`."""
    rank = make_ranker(model, evaluation_set, normalisation, **options)

    def evaluate(params: Variables, batch_stats: Variables) -> Accuracy:
        ranks = rank(params, batch_stats)
        top1, top5 = (100 * int(np.sum(ranks < k)) / len(ranks) for k in (1, 5))
        return Accuracy(top1, top5, bool((ranks < BROKEN).all()))

    return evaluate


def _read(array: np.ndarray, start: int, count: int, mesh: Mesh | None) -> np.ndarray | jax.Array:
    """So many rows from there on; beyond the array's last one come zeros."""

    def read(share: slice) -> np.ndarray:
        rows = array[start + share.start : start + share.stop]
        missing = share.stop - share.start - len(rows)
        return np.pad(rows, ((0, missing), *((0, 0),) * (array.ndim - 1)))

    return read(slice(0, count)) if mesh is None else put_shares(read, (count, *array.shape[1:]), mesh)
