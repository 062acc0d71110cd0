"""Training on sets that do not fit on the device: each step's batch comes from the host, made ahead by Grain.

The step is that of `step.py`, on a batch in place of the set.
"""

import functools
import gc
import os
import weakref
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gift_jax.data.batches import HostBatch, Order, gathered
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.record_set import RecordSet, decoded_batches, permutation
from gift_jax.errors import GiftError
from gift_jax.runtime.sharding import SEED, Seeds, jit_over, over_seeds, place_on_mesh, split_batch
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.epochs import Epoch, make_batches, run_steps
from gift_jax.training.program import Data, Program, State
from gift_jax.training.step import Metrics, make_step

Placement = Literal["auto", "device", "stream"]

# Of the device's memory, for the training set: the rest is for networks, activations and the evaluation's batches, and
# where the device is the CPU for the array that the set was read into.
LARGEST_SHARE = 0.25
_GONE = "Worker process was terminated"  # Grain's words for it
_AHEAD = 2  # steps that are given to the device before the first of them is waited for, each with a batch of its own


class Placed(NamedTuple):
    """Where the training set is during training, and the reason in words."""

    streamed: bool
    why: str


def device_memory() -> int:
    """Bytes of the first device that may be used; of the CPU, and where the device does not say, of the machine."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def place(distilled: DistilledSet | RecordSet, placement: Placement = "auto", *, stored: bool = False) -> Placed:
    """Choose where a set is kept. Args: stored, whether soft labels of `fkd` are replayed. Raises: GiftError."""
    if isinstance(distilled, RecordSet):
        if placement == "device":
            raise GiftError("images that are decoded on the fly do not stay on the device; drop placement 'device'")
        return Placed(True, "images are decoded on the fly")
    if stored:
        if placement == "stream":
            raise GiftError("stored soft labels are replayed on the device; drop placement 'stream'")
        return Placed(False, "stored soft labels are replayed there")
    if placement != "auto":
        return Placed(placement == "stream", "as asked for")
    needed = distilled.images.nbytes + (0 if distilled.soft_labels is None else distilled.soft_labels.nbytes)
    limit = int(LARGEST_SHARE * device_memory())
    streamed = needed > limit
    relation = f"{'more than' if streamed else 'within'} {LARGEST_SHARE:.0%} of the device's memory"
    return Placed(streamed, f"{needed / 2**20:,.1f} MiB, {relation}, {limit / 2**20:,.1f} MiB")


def make_streamed_data(teacher: Teacher | None) -> Data:
    """The data of streamed training before a batch is put into it: the teacher's weights alone, on the device."""
    nothing = jnp.zeros((0,), jnp.int32)
    return Data(nothing, nothing, None, jax.tree.map(jnp.asarray, teacher.params) if teacher else None)


def make_streamed_epoch(program: Program, distilled: DistilledSet | RecordSet, seeds: Seeds = "loop") -> Epoch:
    """Build `(state, data, key, epoch) -> (state, metrics [steps])`, which takes its batches from the host.

    A set of arrays follows the order of the resident path. Args: seeds, as of `make_epoch`: each seed has batches of
    its own, and of a mesh every device of a row gets the whole batch. data is that of `make_streamed_data`. Reading
    goes on between epochs, and begins anew if one is asked for out of turn.
    """
    step, count = split_batch(make_step(program), seeds), program.steps_per_epoch

    def on_batch(state: State, data: Data, batch: HostBatch, rows: jax.Array, key: jax.Array) -> tuple[State, Metrics]:
        return step(state, data._replace(**batch._asdict()), rows, key)

    stepped = jit_over(over_seeds(on_batch, seeds, (True, False, True, False, True)), seeds)
    permuted = jax.jit(jax.vmap(make_batches(*program.batching), in_axes=(0, None)))
    stream = _Stream(functools.partial(_open_batches, program, distilled, permuted))

    def epoch(state: State, data: Data, key: jax.Array, number: int) -> tuple[State, Metrics]:
        order_keys, step_keys = _split_keys(key)
        step_key = _put(step_keys, seeds)
        stream.begin(order_keys, number)

        def on_next(state: State, batch: HostBatch) -> tuple[State, Metrics]:
            rows = np.arange(batch.labels.shape[-1], dtype=np.int32)
            return stepped(state, data, batch, rows, step_key)

        # The device computes the last steps while the next batch is put on it.
        batches = (_put(stream.take(), seeds) for _ in range(count))
        state, metrics = run_steps(on_next, state, batches, count, ahead=_AHEAD)
        if number + 1 == program.recipe.epochs:
            stream.close()
        return state, metrics

    return epoch


def _split_keys(key: jax.Array) -> jax.Array:
    """The keys of orders and of steps, [2, seeds], made on one device, on whichever the run's keys are."""
    words = np.asarray(jax.random.key_data(key))
    keys = jax.random.wrap_key_data(jnp.asarray(words), impl=jax.random.key_impl(key)).reshape(-1)
    return jax.vmap(jax.random.split, out_axes=1)(keys)


def _put(tree: Any, seeds: Seeds) -> Any:
    """On the device, without the axis of seeds if there is a single one; on a mesh, a seed a row."""
    if isinstance(seeds, Mesh):
        return place_on_mesh(tree, seeds, SEED)
    return jax.device_put(jax.tree.map(lambda leaf: leaf[0], tree) if seeds == "loop" else tree)


def _open_batches(
    program: Program, distilled: DistilledSet | RecordSet, permuted: Callable[..., Any], keys: jax.Array, first: int
) -> Any:
    """Grain's iterator over the batches of all epochs from the first on. Args: keys, of the orders, [seeds]."""
    order = functools.partial(
        Order, batch_size=program.batch_size, steps=program.steps_per_epoch, first=first, epochs=program.recipe.epochs
    )
    if isinstance(distilled, RecordSet):
        # Seeds for NumPy, of the order and of the draws of each of keys.
        words = np.asarray(jax.random.key_data(_split_keys(keys))).tolist()
        of_order, of_draws = ([tuple(seed) for seed in half] for half in words)
        return decoded_batches(distilled, order(functools.partial(permutation, of_order, program.num_images)), of_draws)

    def resident(epoch: int) -> np.ndarray:
        full, rest = permuted(keys, epoch)
        return np.concatenate([np.reshape(full, (len(keys), -1)), rest], axis=1)

    return gathered(distilled, order(resident))


class _Stream:
    """An iterator that is kept open between epochs, and the runs and epoch whose first batch it gives next."""

    def __init__(self, open_at: Callable[[jax.Array, int], Any]) -> None:
        self._open_at = open_at
        self._standing: tuple[bytes, int] | None = None
        self._iterators: list[Any] = []
        # Also when training is stopped: batches that wait in shared memory would be left to the system, with a warning.
        weakref.finalize(self, _close, self._iterators)

    def begin(self, keys: jax.Array, number: int) -> None:
        """Stand at the beginning of an epoch, all of whose batches are then to be taken."""
        runs = np.asarray(jax.random.key_data(keys)).tobytes()
        if self._standing != (runs, number):
            self.close()
            self._iterators.append(self._open_at(keys, number))
        self._standing = (runs, number + 1)

    def take(self) -> HostBatch:
        """The next batch. Raises: GiftError if it cannot be read."""
        try:
            batch = next(self._iterators[0])
        except RuntimeError as error:
            if _GONE not in str(error):
                raise
            reason = " ".join(str(error).split())
            raise GiftError(
                f"a process that decodes images ended ({reason}); it may lack memory, also in /dev/shm, so lower "
                "`workers` or `batch_size`"
            ) from None
        if isinstance(batch, GiftError):
            raise batch
        return batch

    def close(self) -> None:
        """End the threads or processes that read ahead."""
        _close(self._iterators)
        self._standing = None


def _close(iterators: list[Any]) -> None:
    """Close iterators, and let go of what they have read, which frees it."""
    while iterators:
        iterators.pop().close()
    gc.collect()
