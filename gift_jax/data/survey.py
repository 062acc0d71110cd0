"""What training images are, from one look at each: sizes, modes, classes, and the statistics of their pixels."""

import contextlib
import functools
import hashlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from gift_jax.data.datasets import Normalisation
from gift_jax.data.transforms import center_crop, open_header, open_image, resize
from gift_jax.errors import GiftError
from gift_jax.readers.image_files import GREY_MODES
from gift_jax.readers.records import Records, decoded
from gift_jax.runtime.progress import display

ORIENTATION = 0x0112  # EXIF's tag, 1 for an image that lies as it is to be seen
COMPARED = 1000  # test images, at most, that are looked for among the training images


class Survey(NamedTuple):
    """Sizes as (width, height), images a class; statistics of the pixels that a network sees.

    normalisation: None if they were not measured, or the images differ in size and no side was given. digests: of the
    files. rotated: how many are to be turned by their EXIF data, which is not done.
    """

    sizes: frozenset[tuple[int, int]]
    counts: np.ndarray
    normalisation: Normalisation | None
    digests: frozenset[int]
    rotated: int = 0


class ImageStats(NamedTuple):
    """An image's file, size, mode, and per channel the sums of its pixels in [0, 1] and of their squares [2, C]."""

    digest: int
    size: tuple[int, int]
    mode: str
    sums: np.ndarray
    pixels: int
    rotated: bool


def measure_image(content: bytes, where: str, *, side: int | None, channels: int) -> ImageStats:
    """Measure an image file. Args: side, that it is brought to, None: as it is; channels, 0: no pixels are read."""
    header, levels = open_header(content, where), np.zeros((0, 1))
    if channels:
        image = open_image(content, where, channels)
        if side is not None:
            image = center_crop(resize(image, side), side)
        levels = np.asarray(image).reshape(-1, channels).astype(np.float64) / 255
    sums = np.stack([levels.sum(0), (levels**2).sum(0)])
    return ImageStats(file_digest(content), header.size, header.mode, sums, len(levels), is_rotated(header))


def is_rotated(header: Image.Image) -> bool:
    """Whether EXIF data turn or mirror an image; damaged ones, which nothing else reads, do not."""
    with contextlib.suppress(Exception):
        return "exif" in header.info and header.getexif().get(ORIENTATION, 1) != 1
    return False


def file_digest(content: bytes) -> int:
    """64 bits that tell files apart."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def survey_images(records: Records, *, side: int | None, channels: int | None, measured: bool) -> Survey:
    """Read every image once. Args: side and channels of the input, where given; measured, whether pixels are."""
    counts = np.bincount(records.labels, minlength=len(records.class_names))
    if not counts.all():
        empty = records.class_names[int(np.argmin(counts))]
        raise GiftError(f"the class {empty!r} has no training images; add some, or remove the class")
    sizes, modes, digests, sums, pixels, rotated = set(), set(), set(), 0.0, 0, 0
    measure = functools.partial(measure_image, side=side, channels=(channels or 3) if measured else 0)
    with display("reading", len(records.labels), "images") as advance:
        for seen in decoded(records, measure):
            sizes.add(seen.size)
            modes.add(seen.mode)
            digests.add(seen.digest)
            rotated += seen.rotated
            sums, pixels = sums + seen.sums, pixels + seen.pixels
            advance(1, "")
    grey = channels is None and modes <= GREY_MODES
    statistics = _statistics(np.asarray(sums), pixels, grey) if pixels and (side or len(sizes) == 1) else None
    return Survey(frozenset(sizes), counts, statistics, frozenset(digests), rotated)


def count_shared(found: Survey, test: Records) -> tuple[int, int]:
    """How many test images are among the training images, and of how many, evenly chosen, that is told."""
    rows = np.unique(np.linspace(0, len(test.labels) - 1, COMPARED).astype(int)).tolist()
    return sum(file_digest(test.read(row)) in found.digests for row in rows), len(rows)


def _statistics(sums: np.ndarray, pixels: int, grey: bool) -> Normalisation:
    """Of sums [2, C]; grey images were seen in three equal channels, of which one is kept."""
    mean, square = (sums[:, :1] if grey else sums) / pixels
    std = np.sqrt(np.maximum(square - mean**2, 0)).round(4)
    if not std.all():
        raise GiftError("all training images are of one colour, in a channel at least; check `data`")
    return Normalisation(tuple(map(float, mean.round(4))), tuple(map(float, std)))
