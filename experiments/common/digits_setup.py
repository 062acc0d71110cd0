"""What the experiments on the digits share: the example teacher, sets of several making, images to choose settings on.

Nothing is downloaded. What was made is kept in the run's directory, and a rerun takes it from there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from gift_jax import DistilledSet, GiftError, Teacher, load_distilled, load_teacher, save_distilled
from gift_jax.data.digits import load_split
from gift_jax.data.evaluation import DIGITS, EvaluationSet, load_digits_test
from gift_jax.rded import RDED
from gift_jax.runtime.files import make_directory, sha256
from gift_jax.teachers.teacher import INFO

from .set_making import CROPS, check_made, check_method, make_set
from .sources import run_convert

MODEL = "conv2"  # of the example teacher
HELD_OUT = 4  # every fourth real training image is for choosing settings; no set is made from it


class Digits(NamedTuple):
    """The teacher, sets by their method, test images, and real training images that settings are chosen on."""

    teacher: Teacher
    sets: Mapping[str, DistilledSet]
    evaluation_set: EvaluationSet
    validation_set: EvaluationSet


def at_once() -> int:
    """How many students to train at once: one of 8x8 images does not fill a CPU (docs/performance.md)."""
    return 3 if jax.default_backend() == "cpu" else 1


def example_teacher(out: Path) -> Teacher:
    """The example teacher of a directory: trained in PyTorch and converted as a user would, unless it is there."""
    source, converted = out / "teacher.pth", out / "teacher"
    if not (converted / INFO).is_file():
        make_directory(out)
        run_convert("example-teacher", "--out", str(source))
        run_convert("teacher", str(source), "--dataset", DIGITS, "--model", MODEL, "--out", str(converted))
    teacher = load_teacher(converted)
    info = teacher.info
    if (info.dataset, info.architecture) != (DIGITS, MODEL):
        what = f"is a {info.architecture} of {info.dataset}, not the {MODEL} of {DIGITS} that is trained here"
        raise GiftError(f"{converted}: {what}; give another --out, or move it away")
    if source.is_file() and sha256(source) != info.source_sha256:
        raise GiftError(f"{converted}: was not converted from {source} beside it; move one of them away")
    return teacher


def load_digits(out: Path, ipc: int, methods: tuple[str, ...]) -> Digits:
    """Make, or take from out, everything that a study on the digits needs. Raises: GiftError."""
    images, labels = training_digits()
    for method in methods:
        check_method(method, labels, ipc)
    teacher, sets = example_teacher(out), {}
    for method in methods:
        path = out / "sets" / f"{method}_ipc{ipc}.safetensors"
        sets[method] = find_set(path, method, images, labels, teacher, ipc)
    return Digits(teacher, sets, load_digits_test(), EvaluationSet(*training_digits(held_out=True), DIGITS))


def training_digits(*, held_out: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Real training digits, uint8 [N, 8, 8, 1], and their labels, int32 [N].

    Those that sets are made of, or those that are held out, of which no set is made, for choosing settings.
    """
    split = load_split()
    chosen = (np.arange(len(split.train_labels)) % HELD_OUT == HELD_OUT - 1) == held_out
    return split.train_images[chosen], split.train_labels[chosen]


def find_set(
    path: Path, method: str, images: np.ndarray, labels: np.ndarray, teacher: Teacher, ipc: int, crops: RDED = CROPS
) -> DistilledSet:
    """The set in a file, or else one that is made and written there. Raises: GiftError if it is another one."""
    if not path.is_file():
        save_distilled(path, make_set(method, images, labels, teacher, ipc, crops))
    distilled = load_distilled(path)
    check_made(path, distilled, method, labels, teacher, ipc, crops)
    return distilled
