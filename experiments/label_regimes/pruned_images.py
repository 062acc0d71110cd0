"""Real training images that pruning methods keep: scored here from a training, or named by index files."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from gift_jax import DistilledSet, GiftError
from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.data.distilled import PixelSpace
from gift_jax.data.network_input import to_input
from gift_jax.errors import damage_as_gift_error
from gift_jax.evaluate import in_batches
from gift_jax.models import Model, Variables
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime import progress
from gift_jax.runtime.compiling import cached_factory, jit
from gift_jax.runtime.files import atomic_write, os_errors_as_gift_error
from gift_jax.studies.cells import OnEpoch
from gift_jax.task import Task
from gift_jax.training.epochs import make_epoch
from gift_jax.training.identity import fingerprint, random_identity, set_identity
from gift_jax.training.program import init_state
from gift_jax.training.train import check_finite

from ..common.real_images import RealImages
from .pruning import METHODS, Dynamics, choose_rows, observe, ranked_rows

BATCH_SIZE, SEED = 500, 0  # of the looks, and of the training
# Hard labels, SGD with momentum and a cosine, as CCS's authors train the network that they score images by.
RECIPE = Recipe(
    loss="ce",
    optimizer=Optimizer("sgd", 0.1, 5e-4, momentum=0.9),
    schedule=Schedule("cosine"),
    batch_size=128,
)


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
        else:
            assert dynamics is not None  # names are those of files, or of methods that score
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
            dynamics = record_dynamics(recipe, network, images, lambda count, loss: advance(count, f"loss {loss:.3g}"))
        right = 100 * dynamics.correct[-1].mean()
        print(f"scored    {len(images.labels)} real images; {right:.1f} % are right at last")
        with atomic_write(path) as temporary, os_errors_as_gift_error(path), temporary.open("wb") as file:
            np.savez(file, **dynamics._asdict())
    damaged = damage_as_gift_error(f"{path}: not readable", "remove it; it is made again")
    with damaged, os_errors_as_gift_error(path), np.load(path, allow_pickle=False) as stored:
        return Dynamics(*(stored[name] for name in Dynamics._fields))


def record_dynamics(recipe: Recipe, network: Model, images: DistilledSet, on_epoch: OnEpoch) -> Dynamics:
    """Train a network on all images and record, after each epoch, how it sees each of them, not augmented.

    Args: recipe, such as `RECIPE`, with hard labels; on_epoch is told of each epoch and its mean loss.
    Raises: GiftError if the parts do not fit each other, Diverged if a loss is not finite.
    """
    task = Task(recipe, network, images)
    program, data, epoch = task.program, task.data(), make_epoch(task.program)
    predict = _make_predict(network, images.pixel_space, program.normalisation)
    init_key, run_key = jax.random.split(jax.random.key(SEED))
    state, looks = init_state(program, init_key, task.learning_rate), []
    for number in range(recipe.epochs):
        state, metrics = epoch(state, data, run_key, number)
        metrics = jax.tree.map(lambda leaf: np.asarray(leaf)[None], metrics)
        check_finite(metrics, (SEED,), number * program.steps_per_epoch)
        on_epoch(1, float(metrics.loss.mean()))
        look = functools.partial(predict, *task.evaluation_weights(state))
        looks.append(observe(in_batches(look, min(BATCH_SIZE, len(images.labels)), images.images), images.labels))
    return Dynamics(*(np.concatenate(arrays) for arrays in zip(*looks, strict=True)))


@cached_factory
def _make_predict(network: Model, pixel_space: PixelSpace, normalisation: Normalisation) -> Callable[..., jax.Array]:
    def predict(params: Variables, batch_stats: Variables, images: jax.Array) -> jax.Array:
        return network.apply(params, batch_stats, to_input(images, pixel_space, normalisation))[0]

    return jit(predict)
