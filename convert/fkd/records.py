"""One batch's stored record: a list of crops, flips, mixing and logits, and what some methods' records have besides."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import torch

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.stored_info import StoredBatches
from gift_jax.errors import GiftError

from .layouts import AGAIN

_NEAR_WHOLE = 0.01  # pixels that coordinates, fractions in float32, may be off
_NEAR_ONE = 0.005  # that probabilities in float16 may sum to beside 1


class Record(NamedTuple):
    """One batch, its indices None where they are not stored; mix as in `MIXINGS`, crops as in `CROPS`."""

    batch: StoredBatches
    mix: str
    crops: str

    @property
    def size(self) -> int:
        """Images in it."""
        return len(self.batch.flips)

    def settings(self) -> Mapping[str, Any]:
        """What all records of a bank have in common, as fields of `StoredInfo`."""
        classes, weights = self.batch.classes, self.batch.weights
        top = 0 if classes is None else classes.shape[1]
        return {"mix": self.mix, "top": top, "weighted": weights is not None, "crops": self.crops}


def parse(label: str, content: object, images: DistilledSet, temperature: float) -> Record:
    """Check and convert one batch's content. label names it in messages. Raises: GiftError.

    temperature is that of softmax probabilities, as HALD stores them, whose reader crops tensors (0: logits).
    Reference: `save` in relabel/generate_soft_label.py of VILA-Lab/SRe2L; for more than six parts see `_further`.
    """
    if not isinstance(content, list | tuple) or not 6 <= len(content) <= 8:
        raise GiftError(f"{label}: is no list of six to eight parts (crops, flips, mixing, logits); {AGAIN}")
    coords, flips, partners, share, box, logits, *further = content
    if isinstance(partners, list):
        raise GiftError(f"{label}: has RandAugment's parameters, which are not replayed; give a bank without them")
    if isinstance(flips, torch.Tensor) and flips.ndim == 2:
        raise GiftError(
            f"{label}: has boxes that are cut out (ImageNet-21K's), which are not replayed; give a bank without them"
        )
    count = len(flips) if isinstance(flips, torch.Tensor) and flips.ndim == 1 else 0
    if not count:
        raise GiftError(f"{label}: its flips are no tensor [B]; {AGAIN}")
    mix = "none" if partners is None else "mixup" if box is None else "cutmix"
    rows = torch.arange(count) if partners is None else partners
    read = _further(label, further, count, images)
    crops = read.pop("crops", "floats" if temperature else "bytes")
    wide = read["classes"].shape[1] if "classes" in read else images.num_classes
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        values = _tensor(label, "logits", logits, (count, wide), "f").astype(np.float16)
    if "classes" not in read:
        _check_kind(label, values, temperature)
    batch = StoredBatches(
        indices=read.pop("indices", None),
        boxes=_boxes(label, _tensor(label, "crops", coords, (count, 4), "f"), images.images.shape[1], temperature),
        flips=_tensor(label, "flips", flips, (count,), "b"),
        partners=_partners(label, _tensor(label, "partners", rows, (count,), "iu")),
        shares=np.asarray(_numbers(label, "share", [share]) if mix == "mixup" else [1], np.float32),
        mix_boxes=_mix_box(label, box)[None] if mix == "cutmix" else np.zeros((1, 4), np.int16),
        logits=values,
        **read,
    )
    return Record(batch, mix, crops)


def join(records: Sequence[Record], order: np.ndarray | None) -> StoredBatches:
    """An epoch's batches one after another; order, int32 [N], where their images' numbers are not stored."""
    joined = jax.tree.map(lambda *arrays: np.concatenate(arrays), *(record.batch for record in records))
    return joined if order is None else joined._replace(indices=order)


def _further(label: str, parts: Sequence[Any], count: int, images: DistilledSet) -> dict[str, Any]:
    """What the parts beyond the sixth tell of a `Record`, by their axes and their kinds of numbers."""
    tensors = all(isinstance(part, torch.Tensor) for part in parts)
    match [(part.ndim, part.is_floating_point()) for part in parts] if tensors else None:
        case []:  # SRe2L, LPLD, HALD
            return {}
        case [(1, True)]:  # WMDD: Liu-Hy/WMDD, relabel/generate_soft_label.py
            return {"weights": _tensor(label, "weights", parts[0], (count,), "f").astype(np.float32)}
        case [(2, False)]:  # LPQLD, whose sixth part has their logits
            wide = parts[0].shape[1]
            if not 1 <= wide <= images.num_classes < 2**15:
                raise GiftError(f"{label}: tells {wide} classes of an image, the set has {images.num_classes}; {AGAIN}")
            return {"classes": _tensor(label, "classes", parts[0], (count, wide), "i").astype(np.int16)}
        case [(1, False)]:  # G-VBSM, EDC on small images: shaoshitong/EDC, relabel/generate_soft_label_with_db.py
            return {"indices": _tensor(label, "image numbers", parts[0], (count,), "iu").astype(np.int32)}
        case [(1, False), (3, False)]:
            # EDC on ImageNet: an order of cells, after which its code joins them in their old order, has no effect.
            _tensor(label, "orders of cells", parts[1], (count, 2, parts[1].shape[2]), "i")
            return {**_further(label, parts[:1], count, images), "crops": "floats"}
    raise GiftError(
        f"{label}: has {6 + len(parts)} parts, but those beyond the sixth are neither images' numbers (G-VBSM, EDC) "
        f"nor weights (WMDD) nor classes of the largest logits (LPQLD); {AGAIN}"
    )


def _tensor(label: str, name: str, value: Any, shape: tuple[int, ...], kinds: str) -> np.ndarray:
    array = value.detach().numpy() if isinstance(value, torch.Tensor) else None
    if array is None or array.shape != shape or array.dtype.kind not in kinds:
        found = type(value).__name__ if array is None else f"{array.dtype}{list(array.shape)}"
        raise GiftError(f"{label}: its {name} are {found}, expected a tensor {list(shape)}; {AGAIN}")
    return array


def _numbers(label: str, name: str, values: Any) -> list[float]:
    """Plain numbers: authors store Python's and NumPy's, loaders' collation makes tensors of them."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, RuntimeError):
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise GiftError(f"{label}: its {name} is no number; {AGAIN}")
    return numbers


def _boxes(label: str, coords: np.ndarray, side: int, temperature: float) -> np.ndarray:
    """Fractions of the side (top, left, height, width) -> whole pixels, int16 [B, 4]."""
    # float16 tells them to a twentieth of a pixel in 224. Pillow rounds to the nearest; HALD's reader rounds down.
    scaled = coords.astype(np.float64) * side
    near = _NEAR_WHOLE + (side * 2.0**-12 if coords.dtype == np.float16 else 0)
    if not (np.abs(scaled - np.rint(scaled)) < near).all():
        raise GiftError(f"{label}: its crops are not of whole pixels of a {side} pixel image; {AGAIN}")
    whole = np.floor(scaled) if temperature else np.rint(scaled)
    return np.clip(whole, -1, 2 * side).astype(np.int16)


def _partners(label: str, partners: np.ndarray) -> np.ndarray:
    if partners.dtype.itemsize == 1 and len(partners) > 256:
        raise GiftError(f"{label}: its partners are bytes: too few for {len(partners)} images; give 256 at most")
    return partners.astype(np.int32)


def _mix_box(label: str, box: Any) -> np.ndarray:
    numbers = _numbers(label, "mixed box", box)
    if len(numbers) != 4 or any(number != int(number) or not 0 <= number < 2**15 for number in numbers):
        raise GiftError(f"{label}: its mixed box is no four whole numbers; {AGAIN}")
    return np.asarray(numbers, np.int16)


def _check_kind(label: str, values: np.ndarray, temperature: float) -> None:
    sums = values.astype(np.float32).sum(1)
    probable = bool((values >= 0).all() and (np.abs(sums - 1) < _NEAR_ONE).all())
    if probable and not temperature:
        raise GiftError(f"{label}: its logits are probabilities, which sum to 1; give the folder of a bank of logits")
    if temperature and not probable:
        raise GiftError(f"{label}: its labels are no probabilities, which sum to 1, as HALD's are; {AGAIN}")
