"""Torch files of images, labels and a learned learning rate: DATM's release and logs, MTT's pair, DD-Ranking's."""

import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import torch

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from ..request import Request
from .content import Content
from .data_pt import from_tensors, load_torch
from .labels import ROWS_BY_CLASS


class Names(NamedTuple):
    """Base names of the files."""

    images: str
    labels: str
    rate: str


BEST = Names("images_best.pt", "labels_best.pt", "lr_best.pt")
NAMES = (BEST, Names("images.pt", "labels.pt", "lr.pt"))
_LOGGED = re.compile(r"images_([0-9]+)\.pt")  # by the number of the iteration; images_zca_N.pt are other pixels


def read(source: Source, request: Request) -> Content:
    """Read images (float [N, C, H, W]), labels, and the learning rate.

    DATM's release has all three, and its labels are logits [N, classes], the class of row r r // (rows a class).
    Others may have hard labels and no rate. Raises: GiftError if one is missing or of another kind.
    Reference: distill/DATM.py of the official repository, and PAD's distill/PAD.py, which log sets of iterations beside
    the best; MTT, TESLA and FTD write images and labels alone.
    """
    bases = {PurePosixPath(name).name for name in source.sizes}
    names, chosen = _names(source, bases, request.iteration)
    strict = request.method in ROWS_BY_CLASS
    images, labels = (load_torch(source, source.find(name)) for name in names[:2])
    rate = load_torch(source, source.find(names.rate)) if strict or names.rate in bases else None
    if not isinstance(images, torch.Tensor) or images.ndim != 4:
        raise GiftError(f"{source.label}: {names.images} is no tensor [N, C, H, W]; download it again")
    if not isinstance(labels, torch.Tensor) or (strict and (labels.ndim != 2 or not labels.is_floating_point())):
        expected = "logits [N, classes]" if strict else "labels, a tensor"
        raise GiftError(f"{source.label}: {names.labels} holds no {expected}; download it again")
    content = from_tensors(source.label, images, labels, request)
    learned = None if rate is None else _learning_rate(source, names.rate, rate)
    return content._replace(notes={**content.notes, **chosen}, learning_rate=learned)


def _names(source: Source, bases: Collection[str], iteration: int | None) -> tuple[Names, dict[str, str]]:
    """The files of the iteration that is asked for, else of the best, else of the only one; and a note about it."""
    logged = {int(match[1]): base for base in bases if (match := _LOGGED.fullmatch(base))}
    best = next((names for names in NAMES if names.images in bases), None)
    if iteration is None and best:
        return best, {}
    if not logged and iteration is None:
        raise _no_images(source, bases)
    found = ", ".join(map(str, sorted(logged))) or "none"
    if iteration is None and len(logged) > 1:
        raise GiftError(f"{source.label}: logs the sets of several iterations ({found}); say which by --iteration")
    number = next(iter(logged)) if iteration is None else iteration
    if number not in logged:
        raise GiftError(f"{source.label}: has no images_{number}.pt of --iteration {number}; it logs {found}")
    suffix = logged[number].removeprefix("images")
    return Names(f"images{suffix}", f"labels{suffix}", f"lr{suffix}"), {"iteration": f"{number} of {found}"}


def _no_images(source: Source, bases: Collection[str]) -> GiftError:
    copies = "images_zca_*.pt are inverse-transformed copies to look at, which students are not trained on"
    hint = f", and {copies}" if any(base.startswith("images_zca") for base in bases) else f", nor {NAMES[1].images}"
    wanted = f"add {BEST.images}, {BEST.labels} and {BEST.rate} of the same release"
    return GiftError(f"{source.label}: {BEST.images} is not there{hint}; {wanted}")


def _learning_rate(source: Source, name: str, rate: object) -> float:
    number = np.asarray(rate.detach() if isinstance(rate, torch.Tensor) else rate)
    if number.size != 1 or number.dtype.kind != "f" or not np.isfinite(number).all():
        raise GiftError(f"{source.label}: {name} holds no learning rate, a single number; download it again")
    return float(str(number.ravel()[0]))
