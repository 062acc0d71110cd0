"""DATM's release: images, learned logits and a learned learning rate in three torch files."""

from pathlib import PurePosixPath

import numpy as np
import torch

from gift_jax.errors import GiftError

from .content import Content, Request
from .data_pt import from_tensors, load_torch
from .source import Source

IMAGES, LABELS, RATE = "images_best.pt", "labels_best.pt", "lr_best.pt"


def read(source: Source, request: Request) -> Content:
    """Read `images_best.pt` (whitened, float [N, C, H, W]), `labels_best.pt` (logits [N, classes]) and `lr_best.pt`.

    The class of row r is r // (rows a class); the learning rate goes to the notes.
    Raises: GiftError if one is missing or of another kind.
    Reference: distill/DATM.py of the official repository writes them.
    """
    if not any(PurePosixPath(name).name == IMAGES for name in source.sizes):
        raise GiftError(
            f"{source.label}: {IMAGES} is not there, and images_zca_*.pt are inverse-transformed copies to look at, "
            f"which students are not trained on; add {IMAGES}, {LABELS} and {RATE} of the same release"
        )
    images, labels, rate = (load_torch(source, source.find(name)) for name in (IMAGES, LABELS, RATE))
    if not isinstance(images, torch.Tensor) or images.ndim != 4:
        raise GiftError(f"{source.label}: {IMAGES} is no tensor [N, C, H, W]; download it again")
    if not isinstance(labels, torch.Tensor) or labels.ndim != 2 or not labels.is_floating_point():
        raise GiftError(f"{source.label}: {LABELS} holds no logits [N, classes]; download it again")
    content = from_tensors(source.label, images, labels, request)
    return content._replace(notes={"learning_rate": _learning_rate(source, rate)})


def _learning_rate(source: Source, rate: object) -> str:
    number = np.asarray(rate.detach() if isinstance(rate, torch.Tensor) else rate)
    if number.size != 1 or number.dtype.kind != "f" or not np.isfinite(number).all():
        raise GiftError(f"{source.label}: {RATE} holds no learning rate, a single number; download it again")
    return str(number.ravel()[0])
