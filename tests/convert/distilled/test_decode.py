"""Decoding: damaged, truncated, mixed and gigantic images are one sentence that names the file, at once."""

import functools
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from trees import NAMES, RDED, encoded, pixels, tree, write

from convert.distilled.decode import Blob, decode
from gift_jax.errors import GiftError

VICTIM = NAMES["gvbsm"].format(label=3, number=1)


def png_header(width, height):
    """A PNG that declares a size and holds no pixels."""
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))  # noqa: E731
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "empty": (b"", "is no image"),
    "text": (b"<html>not found</html>", "is no image"),
    "truncated header": (encoded(pixels(1)[0])[:20], "is no image"),
    "truncated pixels": (encoded(pixels(1)[0])[:100], "is damaged"),
    "no pixels": (png_header(8, 8), "is damaged"),
    "truncated JPEG": (encoded(pixels(1)[0], "jpg")[:-20], "is damaged"),
    "another size": (encoded(pixels(1, 16)[0]), "is 16 pixels a side, but the first image is 8"),
    "not square": (encoded(pixels(1, 16)[0][:8]), "is 16 x 8 pixels, not square"),
    "large": (png_header(3000, 3000), "larger than 2048"),
    "hundred megapixels": (png_header(10_000, 10_000), "larger than 2048"),
    "ten gigapixels": (png_header(100_000, 100_000), "larger than 2048"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_named(name, refused, tmp_path):
    content, message = BAD[name]
    folder = write(tmp_path / "SYN", tree(ipc=2) | {VICTIM: content})
    start = time.monotonic()
    refused("distilled", folder, *RDED, message=message, names=repr(VICTIM))
    assert time.monotonic() - start < 5


def test_nothing_is_decoded_or_allocated_for_a_gigantic_first_image(monkeypatch):
    def fail(*_):
        raise AssertionError("pixels were touched")

    monkeypatch.setattr(Image.Image, "convert", fail)
    monkeypatch.setattr(np, "empty", fail)
    with pytest.raises(GiftError, match="a file is larger than 2048"):
        decode([Blob(0, "a file", lambda: png_header(100_000, 100_000))], 1, 3)


def test_a_file_that_is_too_long_is_not_read(refused, tmp_path):
    folder = write(tmp_path / "SYN", tree(ipc=2))
    with (folder / VICTIM).open("r+b") as file:
        file.truncate(1 << 40)  # sparse: it takes no room
    refused("distilled", folder, *RDED, message="1,099,511,627,776 bytes", names=repr(VICTIM))


def test_other_kinds_of_image_are_not_opened(refused, tmp_path):
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"  # Pillow would run Ghostscript on it
    folder = write(tmp_path / "SYN", tree(ipc=2) | {VICTIM: postscript})
    refused("distilled", folder, *RDED, message="is no image", names=repr(VICTIM))


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_are_filled_by_number_whatever_the_order(threads):
    images = pixels(100)
    order = np.random.default_rng(0).permutation(100)
    blobs = (Blob(row, "x", functools.partial(encoded, images[row])) for row in order.tolist())
    np.testing.assert_array_equal(decode(blobs, 100, 3, threads), images)
