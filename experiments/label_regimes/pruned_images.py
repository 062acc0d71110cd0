"""Real training images that pruning methods keep: scored here from a training, or named by index files."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gift_jax import DistilledSet, GiftError
from gift_jax.data.datasets import get_dataset
from gift_jax.errors import damage_as_gift_error
from gift_jax.models import Model
from gift_jax.runtime import progress
from gift_jax.runtime.files import atomic_write, os_errors_as_gift_error
from gift_jax.training.identity import fingerprint, random_identity, set_identity

from ..common.real_images import RealImages
from .dynamics import RECIPE, record_dynamics
from .pruning import METHODS, Dynamics, choose_rows, ranked_rows


class Pruned(NamedTuple):
    """Names of what keeps images, those that score them here first, and `(name, ipc) -> set`."""

    names: tuple[str, ...]
    scored: tuple[str, ...]
    choose: Callable[[str, int], DistilledSet]


def load_pruned(
    out: Path, network: Model, real: RealImages, scored: Sequence[str], files: Sequence[str], epochs: int
) -> Pruned:
    """Prepare methods that score images by a training of so many epochs, and files, `NAME=FILE`. Raises: GiftError."""
    named = dict(map(parse_file, files))
    if len(named) < len(files):
        raise GiftError(f"--indices {' '.join(files)} has a name twice; choose a name for each file")
    if taken := {"random", *METHODS, *scored} & named.keys():
        raise GiftError(f"--indices: {taken.pop()!r} is the name of another kind of images; choose a different name")
    orders = {name: read_rows(path) for name, path in named.items()}
    dynamics = load_dynamics(out, network, real.everything(), epochs) if scored else None

    def choose(name: str, ipc: int) -> DistilledSet:
        if name in orders:
            rows, made = ranked_rows(orders[name], real.labels, ipc, str(named[name])), f"named by {named[name].name}"
        elif dynamics is None:
            raise GiftError(f"nothing chooses images as {name!r}; give --subsets {name}, or --indices {name}=FILE")
        else:
            made = f"kept by {name} after {epochs} epochs of {network.spec.name}"
            rows = choose_rows(name, dynamics, real.labels, ipc)
        return real.take(rows, name, ipc, made)

    return Pruned((*scored, *orders), tuple(scored), choose)


def parse_file(text: str) -> tuple[str, Path]:
    """Read `NAME=FILE`. Raises: GiftError if it has another form."""
    name, _, path = text.partition("=")
    if not (name.isidentifier() and path):
        raise GiftError(f"--indices {text!r} must be NAME=FILE, such as craig=rows.npy")
    return name, Path(path)


def read_rows(path: Path) -> np.ndarray:
    """Row numbers, int [N], of a `.npy` file or of text with one a line. Raises: GiftError."""
    damaged = damage_as_gift_error(f"{path}: holds no row numbers", "give a .npy of them, or one a line")
    with damaged, os_errors_as_gift_error(path):
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        return np.array([int(line) for line in path.read_text(encoding="utf-8").split()], np.int64)


def load_dynamics(out: Path, network: Model, images: DistilledSet, epochs: int) -> Dynamics:
    """Train the network on all images and record how it sees them, or take what was recorded before from out."""
    augment = "crop_flip" if get_dataset(images.dataset).mirrors else "crop"
    recipe = dataclasses.replace(RECIPE, epochs=epochs, augment=augment)
    parts = {"recipe": dataclasses.asdict(recipe), "network": dataclasses.asdict(network.spec)}
    parts |= {"images": set_identity(images), "random": random_identity()}
    path = out / "pruning" / f"{fingerprint(parts)}.npz"
    if not path.is_file():
        with progress.display("scoring real images", epochs, "epochs") as advance:

            def on_epoch(count: int, loss: float) -> None:
                advance(count, f"loss {loss:.3g}")

            dynamics = record_dynamics(recipe, network, images, on_epoch)
        right = 100 * dynamics.correct[-1].mean()
        print(f"scored    {len(images.labels)} real images; {right:.1f} % are right at last")
        with atomic_write(path) as temporary, os_errors_as_gift_error(path), temporary.open("wb") as file:
            np.savez(file, **dynamics._asdict())
    damaged = damage_as_gift_error(f"{path}: not readable", "remove it; it is made again")
    with damaged, os_errors_as_gift_error(path), np.load(path, allow_pickle=False) as stored:
        return Dynamics(*(stored[name] for name in Dynamics._fields))
