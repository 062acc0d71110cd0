"""Torch files of images, labels and a learned learning rate: DATM's release and logs, MTT's pair, DD-Ranking's."""

import re
from collections.abc import Collection
from pathlib import PurePosixPath

import numpy as np
import torch

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source

from ..request import Request
from .content import Content
from .data_pt import from_tensors, load_torch
from .labels import ROWS_BY_CLASS

ENDS = ("_best.pt", ".pt")  # of the names of images, labels and lr, which are taken before those of an iteration
_LOGGED = re.compile(r"images(_([0-9]+)\.pt)")  # by the number of the iteration; images_zca_N.pt are other pixels


def read(source: Source, request: Request) -> Content:
    """Read images (float [N, C, H, W]), labels, and the learning rate.

    DATM's release has all three, and its labels are logits [N, classes], the class of row r r // (rows a class).
    Others may have hard labels and no rate. Raises: GiftError if one is missing or of another kind.
    Reference: distill/DATM.py of the official repository, and PAD's distill/PAD.py, which log sets of iterations beside
    the best; MTT, TESLA and FTD write images and labels alone.
    """
    bases = {PurePosixPath(name).name for name in source.sizes}
    end, chosen = _end(source, bases, request.iteration)
    strict = request.method in ROWS_BY_CLASS
    images, labels = (load_torch(source, source.find(f"{name}{end}")) for name in ("images", "labels"))
    rate = load_torch(source, source.find(f"lr{end}")) if strict or f"lr{end}" in bases else None
    if not isinstance(images, torch.Tensor) or images.ndim != 4:
        raise GiftError(f"{source.label}: images{end} is no tensor [N, C, H, W]; download it again")
    if not isinstance(labels, torch.Tensor) or (strict and (labels.ndim != 2 or not labels.is_floating_point())):
        expected = "logits [N, classes]" if strict else "labels, a tensor"
        raise GiftError(f"{source.label}: labels{end} holds no {expected}; download it again")
    content = from_tensors(source.label, images, labels, request)
    learned = None if rate is None else _learning_rate(f"{source.label}: lr{end}", rate)
    return content._replace(notes={**content.notes, **chosen}, learning_rate=learned)


def _end(source: Source, bases: Collection[str], iteration: int | None) -> tuple[str, dict[str, str]]:
    """How the files' names end: of the iteration asked for, else of the best, else of the only one; and a note."""
    logged = {int(match[2]): match[1] for base in bases if (match := _LOGGED.fullmatch(base))}
    found = ", ".join(map(str, sorted(logged))) or "none"
    if iteration is None:
        if best := next((end for end in ENDS if f"images{end}" in bases), None):
            return best, {}
        if not logged:
            copies = "images_zca_*.pt are inverse-transformed copies to look at, which students are not trained on"
            hint = f"and {copies}" if any(base.startswith("images_zca") for base in bases) else "nor images.pt"
            wanted = "add images_best.pt, labels_best.pt and lr_best.pt of the same release"
            raise GiftError(f"{source.label}: images_best.pt is not there, {hint}; {wanted}")
        if len(logged) > 1:
            raise GiftError(f"{source.label}: logs the sets of several iterations ({found}); say which by --iteration")
        [iteration] = logged
    if iteration not in logged:
        raise GiftError(f"{source.label}: has no images_{iteration}.pt of --iteration {iteration}; it logs {found}")
    return logged[iteration], {"iteration": f"{iteration} of {found}"}


def _learning_rate(label: str, rate: object) -> float:
    number = np.asarray(rate.detach() if isinstance(rate, torch.Tensor) else rate)
    if number.size != 1 or number.dtype.kind != "f" or not np.isfinite(number).all():
        raise GiftError(f"{label} holds no learning rate, a single number; download it again")
    return float(str(number.ravel()[0]))
