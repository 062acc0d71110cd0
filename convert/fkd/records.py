"""One batch's stored record: a list of crops, flips, mixing and logits, with the images' numbers in G-VBSM's."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.fkd import StoredBatches
from gift_jax.errors import GiftError

_AGAIN = "download it again, or check --distilled"
_NEAR_WHOLE = 0.01  # pixels that coordinates, fractions in float32, may be off


class Record(NamedTuple):
    """A batch of B images as `StoredBatches` has it, indices None where they are not stored; mix as in `MIXINGS`."""

    indices: np.ndarray | None
    boxes: np.ndarray
    flips: np.ndarray
    partners: np.ndarray
    share: float
    mix_box: np.ndarray
    logits: np.ndarray
    mix: str


def parse(label: str, content: object, images: DistilledSet) -> Record:
    """Check and convert one file's content. label names it in messages. Raises: GiftError.

    Reference: `save` in relabel/generate_soft_label.py of VILA-Lab/SRe2L, and of G-VBSM, whose lists have a seventh
    element, the numbers of the images.
    """
    if not isinstance(content, list | tuple) or len(content) not in (6, 7):
        raise GiftError(f"{label}: is no list of six or seven parts (crops, flips, mixing, logits); {_AGAIN}")
    coords, flips, partners, share, box, logits, *numbers = content
    count = len(flips) if isinstance(flips, torch.Tensor) and flips.ndim == 1 else 0
    if not count:
        raise GiftError(f"{label}: its flips are no tensor [B]; {_AGAIN}")
    mix = "none" if partners is None else "mixup" if box is None else "cutmix"
    rows = torch.arange(count) if partners is None else partners
    return Record(
        indices=_tensor(label, "image numbers", numbers[0], (count,), "iu").astype(np.int32) if numbers else None,
        boxes=_boxes(label, _tensor(label, "crops", coords, (count, 4), "f"), images.images.shape[1]),
        flips=_tensor(label, "flips", flips, (count,), "b"),
        partners=_tensor(label, "partners", rows, (count,), "iu").astype(np.int32),
        share=float(_numbers(label, "share", [share])[0]) if mix == "mixup" else 1.0,
        mix_box=_mix_box(label, box) if mix == "cutmix" else np.zeros(4, np.int16),
        logits=_logits(label, _tensor(label, "logits", logits, (count, images.num_classes), "f")),
        mix=mix,
    )


def join(records: Sequence[Record], order: np.ndarray | None) -> StoredBatches:
    """An epoch's batches one after another; order, int32 [N], where their images' numbers are not stored."""
    numbers = [record.indices for record in records if record.indices is not None]
    return StoredBatches(
        indices=np.concatenate(numbers) if order is None else order,
        boxes=np.concatenate([record.boxes for record in records]),
        flips=np.concatenate([record.flips for record in records]),
        partners=np.concatenate([record.partners for record in records]),
        shares=np.asarray([record.share for record in records], np.float32),
        mix_boxes=np.stack([record.mix_box for record in records]),
        logits=np.concatenate([record.logits for record in records]),
    )


def _tensor(label: str, name: str, value: Any, shape: tuple[int, ...], kinds: str) -> np.ndarray:
    array = value.detach().numpy() if isinstance(value, torch.Tensor) else None
    if array is None or array.shape != shape or array.dtype.kind not in kinds:
        found = type(value).__name__ if array is None else f"{array.dtype}{list(array.shape)}"
        raise GiftError(f"{label}: its {name} are {found}, expected a tensor {list(shape)}; {_AGAIN}")
    return array


def _numbers(label: str, name: str, values: Any) -> list[float]:
    """Plain numbers: authors store Python's and NumPy's, loaders' collation makes tensors of them."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, RuntimeError):
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise GiftError(f"{label}: its {name} is no number; {_AGAIN}")
    return numbers


def _boxes(label: str, coords: np.ndarray, side: int) -> np.ndarray:
    """Fractions of the side (top, left, height, width) -> whole pixels, int16 [B, 4]."""
    scaled = coords.astype(np.float64) * side
    if not (np.abs(scaled - np.rint(scaled)) < _NEAR_WHOLE).all():
        raise GiftError(f"{label}: its crops are not of whole pixels of a {side} pixel image; {_AGAIN}")
    return np.rint(np.clip(scaled, -1, 2 * side)).astype(np.int16)


def _mix_box(label: str, box: Any) -> np.ndarray:
    numbers = _numbers(label, "mixed box", box)
    if len(numbers) != 4 or any(number != int(number) or not 0 <= number < 2**15 for number in numbers):
        raise GiftError(f"{label}: its mixed box is no four whole numbers; {_AGAIN}")
    return np.asarray(numbers, np.int16)


def _logits(label: str, logits: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        halves = logits.astype(np.float16)
    if not np.isfinite(halves).all():
        raise GiftError(f"{label}: its logits are not finite in half precision; {_AGAIN}")
    return halves
