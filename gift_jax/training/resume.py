"""Training-state checkpoints: saved while training goes on, checked when read, refused under another configuration.

A run that is stopped, however, goes on from its newest whole checkpoint to the same bits (on the CPU) as one that
never was: the state is everything that a step reads, and random keys are folded in from seed, epoch and step.
"""

import contextlib
import dataclasses
import json
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from gift_jax.errors import GiftError, Preempted, damage_as_gift_error, short_reason
from gift_jax.optim import is_key
from gift_jax.runtime.files import locked, os_errors_as_gift_error
from gift_jax.runtime.quiet_orbax import quiet_orbax
from gift_jax.training.identity import differences, digest

LONG_EPOCH = 10.0  # seconds: nobody who stops a run waits longer for an epoch's end
_BUSY = "another process is training this run"
_SEED = "seed_"  # with which names of stores begin
Record = dict[str, Any]
"""JSON beside the arrays: what is not one, such as the history."""


def store_name(seeds: Sequence[int]) -> str:
    """The name of the store of seeds that are trained together."""
    return _SEED + "_".join(map(str, seeds))


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """Where and how often the training state is saved: after `epochs` epochs or `minutes` minutes, what comes first.

    keep is how many of the newest stay. Without resume, older ones in the directory are removed at the start.
    Raises: GiftError for epochs or keep below 1, or minutes below 0.
    """

    directory: Path
    epochs: int | None = None
    minutes: float = 5.0
    keep: int = 2
    resume: bool = True

    def __post_init__(self) -> None:
        for option, least in (("epochs", 1), ("keep", 1), ("minutes", 0)):
            if (value := getattr(self, option)) is not None and not value >= least:  # nan is neither
                raise GiftError(f"checkpoint {option} must be {least} or more, not {value}")
        object.__setattr__(self, "directory", Path(self.directory))  # which may be given as text


class Store:
    """The checkpoints of one run; `configuration` is what must be the same for a run to go on."""

    def __init__(self, settings: Checkpoints, directory: Path, configuration: Mapping[str, Any]) -> None:
        self.settings, self.directory, self.configuration = settings, directory, json.loads(json.dumps(configuration))
        self.saved_at, self.preempted = time.monotonic(), threading.Event()
        self.saved, self.done, self.began = 0, 0, time.monotonic()  # epochs, and when the one that runs began
        newest: Any = ocp.training.preservation_policies.LatestN(settings.keep)  # Orbax's own types differ here
        with self._reported("opened"):
            options = {"preservation_policy": newest, "cleanup_tmp_directories": True}
            self.orbax = ocp.training.Checkpointer(str(self.directory), **options)

    def restore(self, like: Any) -> tuple[Any, Record] | None:
        """The newest checkpoint that is whole, on the host, or None. Damaged ones are removed, with a line each.

        Raises: GiftError if it was saved under another configuration, naming what differs.
        """
        for checkpoint in sorted(self.orbax.checkpoints, key=lambda found: -found.step):
            try:
                arrays, record = self._read(checkpoint.step, like)
            except Exception as error:  # Orbax and TensorStore raise what they like about a damaged directory.
                path, reason = self.directory / str(checkpoint.step), short_reason(error)
                warning = f"warning: {path}: damaged ({reason}); the checkpoint before is taken"
                print(warning, file=sys.stderr, flush=True)
                self.orbax.delete(checkpoint.step)
                continue
            if differing := differences(record.pop("configuration"), self.configuration):
                raise GiftError(
                    f"{self.directory}: a run of another configuration is unfinished here ({'; '.join(differing[:8])})"
                    "; repeat it with those values, give another directory, or start over with --no-resume"
                )
            self.saved = self.done = checkpoint.step
            return arrays, record
        return None

    def _read(self, step: int, like: Any) -> tuple[Any, Record]:
        with quiet_orbax():
            record: Any = self.orbax.metadata(step).custom_metadata
            arrays: Any = self.orbax.load(step)
        if record.pop("digest") != digest(arrays):
            raise ValueError("its digest is another one")
        return jax.tree.map_with_path(lambda path, leaf: _like(leaf, arrays, _name(path)), like), record

    def within_epoch(self, share: float) -> None:
        """Stop in a long epoch, of which a share is done, if SIGTERM or Ctrl-C came and the epoch before is saved.

        Raises: Preempted, with that state on disk.
        """
        left = (time.monotonic() - self.began) * (1 - share) / share
        # Several hosts come to one decision, which they do after an epoch.
        if self.preempted.is_set() and left > LONG_EPOCH and self.saved == self.done and jax.process_count() == 1:
            self._stop(f"in epoch {self.done + 1}")

    def after_epoch(self, epoch: int, epochs: int, tree: Any, record: Record) -> None:
        """Save, in the background, if enough epochs or minutes went by, after a long epoch, and after the last one.

        Raises: GiftError if it could not be written; Preempted, with the state on disk, if SIGTERM or Ctrl-C came.
        """
        now, every = time.monotonic(), self.settings.epochs
        waited = now - self.saved_at >= 60 * self.settings.minutes or now - self.began >= LONG_EPOCH
        # Hosts have clocks and signals of their own, and must come to one decision.
        due, preempted = _agreed(waited, self.preempted.is_set())
        self.done, self.began = epoch, now
        if due or preempted or epoch == epochs or (every is not None and epoch % every == 0):
            self._save(epoch, tree, record)
        if preempted and epoch < epochs:
            self._stop(f"after epoch {epoch} of {epochs}")

    def _stop(self, place: str) -> NoReturn:
        with self._reported("saved"):
            self.orbax.wait()
        kept = f"epoch {self.saved} is saved in {self.directory}" if self.saved else "nothing was to be saved yet"
        raise Preempted(f"stopped {place}; {kept}; run the same command again to go on")

    def _save(self, epoch: int, tree: Any, record: Record) -> None:
        """In the background, once the save before is done."""
        arrays = {_name(path): to_host(leaf) for path, leaf in jax.tree.leaves_with_path(tree) if leaf.size}
        # A copy, in JSON's own types: training goes on with the lists while this is written.
        record = json.loads(json.dumps({**record, "configuration": self.configuration, "digest": digest(arrays)}))
        self._check_space(sum(array.nbytes for array in arrays.values()))
        with self._reported(f"saved after epoch {epoch}"):
            self.orbax.save_async(epoch, arrays, force=True, overwrite=True, custom_metadata=record)
        self.saved, self.saved_at = epoch, time.monotonic()

    def _check_space(self, needed: int) -> None:
        # Beforehand: of a disk that fills up while it writes, Orbax reports much more than one sentence.
        with os_errors_as_gift_error(self.directory):
            free = shutil.disk_usage(self.directory).free
        if free < needed:
            raise GiftError(
                f"{self.directory}: the training state needs {needed / 1e6:.2g} MB, but the disk has room for "
                f"{free / 1e6:.2g}; older checkpoints are whole: free some space and run the same command again"
            )

    def close(self) -> None:
        """Wait for what is being saved. Raises: GiftError if it could not be written."""
        with self._reported("saved"):
            self.orbax.close()

    def _reported(self, verb: str) -> contextlib.AbstractContextManager[None]:
        mend = "older checkpoints are whole: free some space or mend the path, and run the same command again"
        return damage_as_gift_error(f"{self.directory}: the training state could not be {verb}", mend)


@contextlib.contextmanager
def open_store(settings: Checkpoints | None, name: str, configuration: Mapping[str, Any]) -> Iterator[Store | None]:
    """The store of a run while it trains, or None without settings. SIGTERM and Ctrl-C then only set a flag.

    Raises: GiftError if another process trains the same run.
    """
    if settings is None:
        yield None
        return
    directory = (settings.directory / name).absolute()
    with contextlib.ExitStack() as stack:
        if jax.process_index() == 0:
            stack.enter_context(locked(directory, _BUSY))
            if not settings.resume:
                shutil.rmtree(directory, ignore_errors=True)
        stack.enter_context(quiet_orbax())  # which saves in the background, in threads of its own
        store = Store(settings, directory, configuration)
        stack.callback(store.close)
        stack.enter_context(_preemption(store.preempted))
        yield store


@contextlib.contextmanager
def _preemption(came: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    previous = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}  # as nohup does

    def stop(number: int, frame: Any) -> None:
        if number == signal.SIGINT and came.is_set():
            raise KeyboardInterrupt  # a second Ctrl-C does not wait
        came.set()
        if number == signal.SIGINT:
            print("stopping as soon as an epoch is saved; Ctrl-C again stops now", file=sys.stderr, flush=True)

    for number in previous:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def remove(settings: Checkpoints, seeds: Sequence[int]) -> None:
    """Remove the checkpoints of seeds whose runs are finished and recorded, and directories that this leaves empty."""
    if jax.process_index() != 0:
        return
    for directory in settings.directory.glob(f"{_SEED}*[0-9]"):
        if {int(seed) for seed in directory.name.removeprefix(_SEED).split("_")} <= set(seeds):
            with contextlib.suppress(GiftError), locked(directory, _BUSY):  # which a run anew may be writing into
                shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError):  # while another run's are there
        settings.directory.rmdir()
        settings.directory.parent.rmdir()


def _agreed(*flags: bool) -> list[bool]:
    """Which of the flags are set on any host."""
    if jax.process_count() == 1:
        return list(flags)
    return multihost_utils.process_allgather(np.array(flags)).any(axis=0).tolist()


def to_host(array: jax.Array) -> np.ndarray:
    """A copy on this host, of all hosts' parts: the next step may write where the array is. Keys give their data."""
    if is_key(array):
        array = jax.random.key_data(array)
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        return np.asarray(multihost_utils.process_allgather(array, tiled=True))
    return np.array(array)


def _like(leaf: Any, arrays: Mapping[str, np.ndarray], name: str) -> Any:
    """What was saved of a leaf: keys as keys; of an array without elements, which Orbax does not save, itself."""
    if is_key(leaf):
        return jax.random.wrap_key_data(jax.numpy.asarray(arrays[name]), impl=jax.random.key_impl(leaf))
    return arrays[name] if leaf.size else leaf


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
