"""Decoding: damaged, truncated, mixed and gigantic images are one sentence that names the file, at once."""

import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from trees import NAMES, RDED, encoded, pixels, tree, write

from convert.distilled.encoded import decode_square
from gift_jax.errors import GiftError

VICTIM = NAMES["gvbsm"].format(label=3, number=1)


def png_header(width, height):
    """A PNG that declares a size and holds no pixels."""
    chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))  # noqa: E731
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "empty": (b"", "is no readable image"),
    "text": (b"not found", "is no readable image"),
    "truncated header": (encoded(pixels(1)[0])[:20], "is no readable image"),
    "truncated pixels": (encoded(pixels(1)[0])[:100], "is no readable image"),
    "no pixels": (png_header(8, 8), "is no readable image"),
    "truncated JPEG": (encoded(pixels(1)[0], "jpg")[:-20], "is no readable image"),
    "another size": (encoded(pixels(1, 16)[0]), "is 16 pixels a side, but the first image is 8"),
    "not square": (encoded(pixels(1, 16)[0][:8]), "is 16 x 8 pixels, not square"),
    "large": (png_header(3000, 3000), "larger than 2048"),
    "ten gigapixels": (png_header(100_000, 100_000), "exceeds limit"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "is no readable image"),  # Ghostscript's
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_bad_images_are_named(content, message, refused, tmp_path):
    folder = write(tmp_path / "SYN", tree(ipc=2) | {VICTIM: content})
    start = time.monotonic()
    refused("distilled", folder, *RDED, message=message, names=VICTIM)
    assert time.monotonic() - start < 5


def test_nothing_is_decoded_of_a_gigantic_image(monkeypatch):
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("pixels were touched"))
    with pytest.raises(GiftError, match="a file: is 3000 x 3000 pixels, larger than 2048 a side"):
        decode_square(png_header(3000, 3000), "a file", channels=3)


def test_a_file_that_is_too_long_is_not_read(refused, tmp_path):
    folder = write(tmp_path / "SYN", tree(ipc=2))
    with (folder / VICTIM).open("r+b") as file:
        file.truncate(1 << 40)  # sparse: it takes no room
    refused("distilled", folder, *RDED, message="1,099,511,627,776 bytes", names=VICTIM)


@pytest.mark.parametrize("suffix", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_and_never_clipped(suffix, imported, tmp_path):
    deep = np.random.default_rng(0).integers(0, 2**16, (10, 8, 8)).astype(np.uint16)
    deep[0].flat[:4] = 0, 128, 129, 65535
    name = {"PPM": "pgm"}.get(suffix, suffix.lower())
    files = {f"{number}/x.{name}": encoded(deep[number], suffix) for number in range(10)}
    distilled = imported(write(tmp_path / "x", files), "--method", "random", "--dataset", "cifar10")
    expected = np.rint(deep / 257.0).astype(np.uint8)
    np.testing.assert_array_equal(distilled.images, np.repeat(expected[..., None], 3, -1))
    assert distilled.images[0, 0, :4, 0].tolist() == [0, 0, 1, 255]
    assert distilled.provenance["depth"] == "10 images of 16 bits, scaled to 8"


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_known_range_are_refused(dtype, refused, tmp_path):
    files = {f"{number}/x.tif": encoded(np.full((8, 8), 300, dtype), "tiff") for number in range(10)}
    folder = write(tmp_path / "x", files)
    refused("distilled", folder, *RDED[:4], message="whose range is not known; save it with 8 bits", names="x.tif")
