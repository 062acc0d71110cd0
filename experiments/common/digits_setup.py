"""The example teacher of the digits, made without a download, and how many students are trained at once."""

from pathlib import Path

import jax

from gift_jax import GiftError, Teacher, load_teacher
from gift_jax.data.evaluation import DIGITS
from gift_jax.runtime.files import make_directory, sha256
from gift_jax.teachers.teacher import INFO

from .sources import run_convert

MODEL = "conv2"  # of the example teacher


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
