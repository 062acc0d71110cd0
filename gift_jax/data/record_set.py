"""Real training images that are never held in memory: decoded on the fly, in processes, ahead of their use."""

import dataclasses
import functools
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gift_jax.data.batches import Chosen, HostBatch, Order, load_grain
from gift_jax.data.datasets import get_dataset
from gift_jax.data.distilled import PixelSpace
from gift_jax.data.transforms import TrainingTransform
from gift_jax.errors import GiftError
from gift_jax.readers.records import Records, decode
from gift_jax.runtime.devices import cores

Words = tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class RecordSet:
    """A set to train on, of image files. workers: processes that decode, None for one on each core that may be used."""

    records: Records
    transform: TrainingTransform
    dataset: str
    workers: int | None = None
    method: str = "real"
    pixel_space: PixelSpace = "raw"
    soft_labels: None = None

    @property
    def labels(self) -> np.ndarray:
        """int32 [N]."""
        return self.records.labels

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        shown = self.transform.test
        return (shown.crop, shown.crop, shown.channels)

    @property
    def num_classes(self) -> int:
        """Classes of the dataset."""
        return get_dataset(self.dataset).num_classes

    @property
    def ipc(self) -> int:
        """Images of the largest class."""
        return int(np.bincount(self.labels).max())

    @property
    def provenance(self) -> Mapping[str, str]:
        """For results: how the images are shown."""
        return {"training images": f"decoded on the fly, {self.transform}"}


def permutation(words: Sequence[Words], count: int, epoch: int) -> np.ndarray:
    """The orders of an epoch, int [seeds, count], by NumPy, for workers that have no JAX. Args: words, of each seed."""
    return np.stack([np.random.default_rng((*seed, epoch)).permutation(count) for seed in words])


def decoded_batches(record_set: RecordSet, order: Order, words: Sequence[Words]) -> Any:
    """Decode and transform batches. Args: words, of each seed, others than the order's.

    Every image's draws are of (its seed's words, epoch, row): batches do not depend on the number of workers.
    Returns: Grain's iterator of `HostBatch`; one that could not be read is a GiftError instead.
    """
    grain = load_grain()
    from absl.flags import FLAGS  # a dependency of Grain, which asks them how to start processes

    FLAGS.mark_as_parsed()
    source = grain.MapDataset.source(order).map(functools.partial(_decode, record_set, words))
    # Processes, for decoding is the cost, and parts of it (small images, draws, joining) hold Python's lock. A worker
    # makes whole batches, one after another, and hands them over in shared memory.
    workers = min(record_set.workers or cores(), len(order))
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1)
    read = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return iter(source.to_iter_dataset(read).mp_prefetch(options, _ignore_interrupt))


def _ignore_interrupt(worker: int, workers: int) -> None:
    """Ctrl-C is for the process that trains, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _decode(record_set: RecordSet, words: Sequence[Words], chosen: Chosen) -> HostBatch | GiftError:
    images = []
    try:
        for seed, rows in zip(words, chosen.rows.tolist(), strict=True):
            for row in rows:
                rng = np.random.default_rng((*seed, chosen.epoch, row))
                images.append(decode(record_set.records, functools.partial(record_set.transform, rng=rng), row))
    except GiftError as error:  # which Grain would wrap
        return error
    pixels = np.stack(images).reshape(*chosen.rows.shape, *record_set.image_shape)
    return HostBatch(pixels, record_set.labels[chosen.rows], None)
