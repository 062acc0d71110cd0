"""Decoding image files with Pillow on all cores, safely: sizes come from headers, before pixels are decoded."""

import collections
import io
import itertools
import os
import warnings
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image

from gift_jax.data.transforms import center_crop, resize
from gift_jax.errors import GiftError
from gift_jax.readers.image_files import FORMATS, MODES, eight_bits, is_deep
from gift_jax.runtime.progress import display

LARGEST_FILE = 32 << 20  # bytes
LARGEST_SIDE = 2048  # pixels; distilled images have 32 to 224


class Decoded(NamedTuple):
    """images: uint8 [N, S, S, channels]; deep: how many of them had 16 bits a pixel; sides: of those that were resized,
    in pixels."""

    images: np.ndarray
    deep: int
    sides: Collection[int] = ()


class _File(NamedTuple):
    deep: bool
    side: int


class Blob(NamedTuple):
    """An image file to decode: the row that it goes to, what messages call it, and what gives its bytes."""

    row: int
    label: str
    content: Callable[[], bytes]


def decode(
    blobs: Iterable[Blob], count: int, channels: int, size: int | None = None, threads: int | None = None
) -> Decoded:
    """Decode count image files, converted to RGB or grey as torchvision's ImageFolder does; 16 bits are scaled to 8.

    Args: blobs, taken one after another while others are being decoded; channels, 1 or 3; size, the side in pixels to
    resize to, as torchvision's Resize and CenterCrop do it; threads, as many as there are cores if not given, which
    also ask blobs for their contents.
    Returns: images of that size, or of the size of the first.
    Raises: GiftError that names the first file that is damaged, too large, too deep, not square or of another size.
    """
    blobs = iter(blobs)
    first = next(blobs)
    threads = threads or os.cpu_count() or 1
    pending: collections.deque[Future[_File]] = collections.deque()
    files: collections.Counter[_File] = collections.Counter()
    with (
        warnings.catch_warnings(),
        display("decoding", count, "images") as advance,
        ThreadPoolExecutor(threads) as pool,
    ):
        warnings.simplefilter("ignore", UserWarning)  # Pillow's advice about palettes and metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        images = _room(first, count, channels, size)
        for blob in itertools.chain([first], blobs):
            pending.append(pool.submit(_decode_into, images[blob.row], blob, size is not None))
            if len(pending) > 8 * threads:  # bounds the bytes that wait
                files[pending.popleft().result()] += 1
                advance(1, "")
        while pending:
            files[pending.popleft().result()] += 1
            advance(1, "")
    sides = {file.side for file in files} - {images.shape[1]}
    return Decoded(images, sum(number for file, number in files.items() if file.deep), sides)


def decoder_notes(decoded: Decoded, decoder: str) -> dict[str, str]:
    """What a set's provenance says of the decoding."""
    notes = {"decoder": decoder} | ({"depth": f"{decoded.deep} images of 16 bits, scaled to 8"} if decoded.deep else {})
    if decoded.sides:
        sides = " and ".join(map(str, sorted(decoded.sides)))
        notes["resized"] = f"from {sides} to {decoded.images.shape[1]} pixels, as torchvision's Resize on Pillow images"
    return notes


def _room(first: Blob, count: int, channels: int, size: int | None) -> np.ndarray:
    side = size or _opened(first).height
    try:
        return np.empty((count, side, side, channels), np.uint8)
    except MemoryError:
        memory = f"{count * side * side * channels / 2**30:,.0f} GiB"
        raise GiftError(f"{first.label}: {count} such images take {memory} of memory; lower --ipc") from None


def _opened(blob: Blob) -> Image.Image:
    """Read the header, no pixels. Raises: GiftError unless it is of a square image that is not too large."""
    stream = io.BytesIO(blob.content())
    try:
        image = Image.open(stream, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _refusal(blob, f"is larger than {LARGEST_SIDE} pixels a side") from None
    except Exception as error:  # Pillow raises what it likes about a damaged file.
        raise _refusal(blob, f"is no image that can be read ({type(error).__name__})") from None
    width, height = image.size
    if max(width, height) > LARGEST_SIDE:
        raise _refusal(blob, f"is {width} x {height} pixels, larger than {LARGEST_SIDE} a side")
    if width != height:
        raise _refusal(blob, f"is {width} x {height} pixels, not square")
    return image


def _decode_into(room: np.ndarray, blob: Blob, resized: bool) -> _File:
    image, side = _opened(blob), len(room)
    stored = image.height
    if stored != side and not resized:
        raise _refusal(blob, f"is {image.height} pixels a side, but the first image is {side}")
    try:
        deep = is_deep(blob.label, image)
        image = eight_bits(image) if deep else image
        image = center_crop(resize(image.convert(MODES[room.shape[2]]), side), side)
        pixels = np.asarray(image)
    except GiftError:
        raise
    except Exception as error:  # Pillow raises what it likes about a damaged file.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _refusal(blob, f"is damaged ({reason})") from None
    room[:] = pixels.reshape(room.shape)
    return _File(deep, stored)


def _refusal(blob: Blob, problem: str) -> GiftError:
    return GiftError(f"{blob.label} {problem}; take the file from the source again, or the right folder")
