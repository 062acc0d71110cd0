"""From stored numbers to a set's pixels: their space, what they are normalised by, and how many images one holds."""

import itertools
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F

from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import PIXEL_SPACES, PixelSpace
from gift_jax.errors import GiftError

from ..request import Request, given_normalisation
from .content import Content, allocated
from .layouts import ENCODED, LAYOUTS
from .methods import METHODS, Space, release_of

# Mean distance from [0, 1] at which pixels are no raw ones that left it by a little; normalised images have 0.3 or so.
_FAR = 0.1
_DARKEST_BYTES = 128  # floats from 0 whose largest is at least this (and at most 255) are bytes, without a doubt
_PADDING = 0.5  # grey, of pixels in [0, 1], where the side is no multiple of the factor


def space_of(path: Path, layout: str, method: str, told: str | None) -> Space | None:
    """What was done to the pixels, as an option or the method's release tells; None where neither does."""
    spaces, title = release_of(method).spaces, LAYOUTS[layout].title
    if layout not in spaces:
        known = " or ".join(LAYOUTS[name].title for name in spaces)
        raise GiftError(f"{path}: is {title}, but --method {method} is released as {known}; give the right method")
    if told not in (None, "raw") and layout in ENCODED:
        raise GiftError(f"{path}: is {title}, whose 8-bit pixels are raw, but --pixel-space is {told}; drop it")
    if told not in (None, *PIXEL_SPACES):
        raise GiftError(f"--pixel-space is {told}, expected {' or '.join(PIXEL_SPACES)}")
    return cast(Space | None, told or spaces[layout])


def make_pixels(
    path: Path, layout: str, space: Space | None, content: Content, request: Request
) -> tuple[Content, PixelSpace, Normalisation | None]:
    """What was read as the method's own reader has it, the space of its pixels, and what they are normalised by.

    Args: path, layout and space, of the source (`space_of`).
    """
    stored = content.images
    if stored.dtype == np.uint8 and space in (None, "unbounded"):
        space = "raw"  # nothing was done to 8-bit pixels
    if space is None:
        raise _untold(path, layout, request.method)
    if request.pixel_space is None:
        _check_values(path, stored, space, request.method)
    normalisation = given_normalisation(request.mean, request.std) or _statistics(path, layout, space, request)
    images, values = _raw_pixels(stored) if space == "raw" else (stored, "floats")
    notes = {**content.notes}
    if request.factor and request.factor > 1:
        images = images / np.float32(255) if images.dtype == np.uint8 else images
        factor, side, soft_labels = request.factor, images.shape[1], content.soft_labels
        notes["formation"] = (
            f"each stored image is {factor} x {factor} images of {-(-side // factor)} pixels, enlarged to {side} "
            "(bilinear), as IDC's decode_zoom does; in a class the first cell of all its images comes first"
        )
        images, rows = _decode(str(path), images, content.labels, factor)
        soft_labels = None if soft_labels is None else soft_labels[rows]
        content = content._replace(labels=content.labels[rows], soft_labels=soft_labels)
    if space == "unbounded":
        assert normalisation is not None
        values = f"floats from {stored.min():.4g} to {stored.max():.4g}, raw but not clamped, which were normalised"
        mean, std = np.array([normalisation.mean, normalisation.std], np.float32)
        images = images - mean  # as torchvision's `Normalize` does it, in single precision
        images /= std
        space = "normalised"
    return content._replace(images=images, notes={**notes, "values": values}), space, normalisation


def _raw_pixels(images: np.ndarray) -> tuple[np.ndarray, str]:
    """Raw pixels as they are stored, and what they were in words."""
    # Floats in [0, 1] that are whole 255ths become bytes, a quarter of the memory. Those that might be anything stay as
    # they are, and are refused by `DistilledSet`.
    if images.dtype == np.uint8:
        return images, "bytes"
    low, high = images.min(), images.max()
    if low >= 0 and _DARKEST_BYTES <= high <= 255:
        levels = np.rint(images).astype(np.uint8)
        return (levels if (levels == images).all() else images / np.float32(255)), "floats from 0 to 255"
    if not (low >= 0 and high <= 1):
        return images, "floats"
    levels = np.rint(images * 255).astype(np.uint8)
    whole = (levels.astype(np.float32) / np.float32(255) == images).all()
    return (levels if whole else images), "floats from 0 to 1"


def _untold(path: Path, layout: str, method: str) -> GiftError:
    known = ", ".join(name for name, release in METHODS.items() if release.spaces.get(layout))
    hint = f" (known by themselves: {known})" if known else ""
    return GiftError(
        f"{path}: --method {method} does not tell its pixel space for {LAYOUTS[layout].title} of floats; say "
        f"--pixel-space {'|'.join(PIXEL_SPACES)}{hint}"
    )


def _check_values(path: Path, images: np.ndarray, space: Space, method: str) -> None:
    low, high = images.min(), images.max()
    if space == "unbounded" and np.abs(images - images.clip(0, 1)).mean(dtype=np.float64) > _FAR:
        problem, mend = "is released unnormalised", "say --pixel-space normalised, with --mean and --std, or zca"
    elif space == "normalised" and low >= 0:
        problem, mend = "is released normalised, with values below 0", "say --pixel-space raw if they are not"
    else:
        return
    raise GiftError(f"{path}: its pixels are from {low:.4g} to {high:.4g}, but --method {method} {problem}; {mend}")


def _statistics(path: Path, layout: str, space: Space, request: Request) -> Normalisation | None:
    release = release_of(request.method)
    if space not in ("normalised", "unbounded") or release.spaces.get(layout) != space:
        return None
    known = release.statistics.get(request.spec.name)
    if known is None and request.pixel_space is None:
        raise GiftError(
            f"{path}: --method {request.method} has no statistics of {request.spec.name} in its authors' code; give "
            "--mean and --std"
        )
    return known


def _decode(label: str, images: np.ndarray, labels: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut images [N, S, S, C] into cells, enlarged to S pixels; also gives the rows that they are cut out of."""
    # Class by class, and in a class the first cell of all its images, then the second, as `decode_zoom` of `test.py`,
    # snu-mllab/Efficient-Dataset-Condensation (IDC), DREAM and NCFM do; its other types are not what they evaluate by.
    count, side, _, channels = images.shape
    if factor > side:
        raise GiftError(f"{label}: --factor is {factor}, but images have {side} pixels a side; give what they hold")
    cell = -(-side // factor)
    shape = (count * factor**2, side, side, channels)
    decoded = allocated(shape, np.float32, f"{label}: its decoded images")
    stored, rows, start = torch.from_numpy(images).permute(0, 3, 1, 2), [], 0
    for number in np.unique(labels):
        rows.append(np.flatnonzero(labels == number))
        chosen = stored[torch.from_numpy(rows[-1])].contiguous()
        padded = F.pad(chosen, (0, cell * factor - side) * 2, value=_PADDING)
        for top, left in itertools.product(range(0, cell * factor, cell), repeat=2):
            cells = padded[:, :, top : top + cell, left : left + cell]
            enlarged = F.interpolate(cells, size=(side, side), mode="bilinear")
            decoded[start : start + len(cells)] = enlarged.permute(0, 2, 3, 1).numpy()
            start += len(cells)
    return decoded, np.concatenate([np.tile(places, factor**2) for places in rows])
