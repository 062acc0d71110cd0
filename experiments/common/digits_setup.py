"""What the experiments on the digits share: the example teacher, sets of several making, images to choose settings on.

Nothing is downloaded. What was made is kept in the run's directory, and a rerun takes it from there.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jax
import numpy as np

from gift_jax import DistilledSet, GiftError, Teacher, load_distilled, load_teacher, rded, save_distilled
from gift_jax.data.digits import load_split
from gift_jax.data.evaluation import EvaluationSet, load_digits_test
from gift_jax.runtime.files import reported
from gift_jax.teachers.teacher import INFO

from .sources import run_convert

# Less than half of an 8x8 image shows no digit, though the teacher may be sure of one.
CROPS = rded.RDED(smallest_area=0.5)
HELD_OUT = 4  # every fourth real training image is for choosing settings; no set is made from it
SEED = 0


class Digits(NamedTuple):
    """The teacher, sets by their method, test images, and real training images that settings are chosen on."""

    teacher: Teacher
    sets: Mapping[str, DistilledSet]
    evaluation_set: EvaluationSet
    validation_set: EvaluationSet


def at_once() -> int:
    """How many students to train at once: one of 8x8 images does not fill a CPU (docs/performance.md)."""
    return 3 if jax.default_backend() == "cpu" else 1


def make_teacher(out: Path) -> Teacher:
    """Train the example teacher in PyTorch and convert it as a user would."""
    with reported(out):
        out.mkdir(parents=True, exist_ok=True)
    run_convert("example-teacher", "--out", f"{out}/teacher.pth")
    run_convert("teacher", f"{out}/teacher.pth", "--dataset", "digits", "--model", "conv2", "--out", f"{out}/teacher")
    return load_teacher(out / "teacher")


def load_digits(out: Path, ipc: int, methods: tuple[str, ...]) -> Digits:
    """Make, or take from out, everything that a study on the digits needs. Raises: GiftError."""
    teacher = load_teacher(out / "teacher") if (out / "teacher" / INFO).is_file() else make_teacher(out)
    images, labels = training_digits()
    sets = {method: _find_set(out, method, images, labels, teacher, ipc) for method in methods}
    return Digits(teacher, sets, load_digits_test(), EvaluationSet(*training_digits(held_out=True), "digits"))


def training_digits(*, held_out: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Real training digits, uint8 [N, 8, 8, 1], and their labels, int32 [N].

    Those that sets are made of, or those that are held out, of which no set is made, for choosing settings.
    """
    split = load_split()
    chosen = (np.arange(len(split.train_labels)) % HELD_OUT == HELD_OUT - 1) == held_out
    return split.train_images[chosen], split.train_labels[chosen]


def _find_set(
    out: Path, method: str, images: np.ndarray, labels: np.ndarray, teacher: Teacher, ipc: int
) -> DistilledSet:
    path = out / "sets" / f"{method}_ipc{ipc}.safetensors"
    if not path.is_file():
        save_distilled(path, make_set(method, images, labels, teacher, ipc))
    return load_distilled(path)


def make_set(method: str, images: np.ndarray, labels: np.ndarray, teacher: Teacher, ipc: int) -> DistilledSet:
    """Make a set of a named method from real images, uint8 [N, 8, 8, 1], and their labels. Raises: GiftError."""
    if method not in METHODS:
        raise GiftError(f"--methods: {method!r} is unknown on the digits; choose of {', '.join(METHODS)}")
    fewest = int(np.bincount(labels, minlength=10).min())
    if not 1 <= ipc <= fewest:
        raise GiftError(f"--ipc must be from 1 to {fewest}, the fewest training digits of a class, not {ipc}")
    if method == "rded":
        return rded.synthesize(images, labels, teacher, ipc=ipc, settings=CROPS, seed=SEED)
    chosen = np.concatenate([METHODS[method](images[labels == label], ipc) for label in range(10)])
    provenance = {"seed": str(SEED), "made": f"by {method} from {len(labels)} real training digits"}
    return DistilledSet(
        chosen, np.repeat(np.arange(10, dtype=np.int32), ipc), None, "raw", "digits", method, ipc, provenance
    )


def random_images(images: np.ndarray, ipc: int) -> np.ndarray:
    """Real images, drawn at random."""
    return images[np.random.default_rng(SEED).permutation(len(images))[:ipc]]


def herded_images(images: np.ndarray, ipc: int) -> np.ndarray:
    """Real images whose mean is close to the class's, one after another. Reference: Welling (2009), in pixels."""
    pixels = images.reshape(len(images), -1).astype(np.float64)
    chosen: list[int] = []
    for count in range(1, ipc + 1):
        means = (pixels[chosen].sum(axis=0) + pixels) / count
        distances = np.square(means - pixels.mean(axis=0)).sum(axis=1)
        distances[chosen] = np.inf
        chosen.append(int(np.argmin(distances)))
    return images[chosen]


def cluster_centres(images: np.ndarray, ipc: int) -> np.ndarray:
    """The centres of k-means clusters: averages of like images, which are real ones of nobody's hand."""
    from sklearn.cluster import KMeans

    pixels = images.reshape(len(images), -1).astype(np.float64)
    centres = KMeans(ipc, n_init=4, random_state=SEED).fit(pixels).cluster_centers_
    return np.rint(centres).astype(np.uint8).reshape(ipc, *images.shape[1:])


METHODS: Mapping[str, Callable[[np.ndarray, int], np.ndarray] | None] = MappingProxyType(
    {"rded": None, "random": random_images, "herding": herded_images, "kmeans": cluster_centres}
)
