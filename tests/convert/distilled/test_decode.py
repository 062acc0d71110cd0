"""Decoding: damaged, truncated, mixed and gigantic images are one sentence that names the file, at once."""

import functools
import io
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
    "text": (b"not found", "is no image"),
    "a web page": (b"\n<!DOCTYPE html><html>not found</html>", "is a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a git-lfs pointer"),
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
    np.testing.assert_array_equal(decode(blobs, 100, 3, threads=threads).images, images)


def saved(array, suffix):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, suffix)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_and_never_clipped(suffix, imported, tmp_path):
    deep = np.random.default_rng(0).integers(0, 2**16, (10, 8, 8)).astype(np.uint16)
    deep[0].flat[:4] = 0, 128, 129, 65535
    name = {"PPM": "pgm"}.get(suffix, suffix.lower())
    files = {f"{number}/x.{name}": saved(deep[number], suffix) for number in range(10)}
    distilled = imported(write(tmp_path / "x", files), "--method", "random", "--dataset", "cifar10")
    expected = np.rint(deep / 257.0).astype(np.uint8)
    np.testing.assert_array_equal(distilled.images, np.repeat(expected[..., None], 3, -1))
    assert distilled.images[0, 0, :4, 0].tolist() == [0, 0, 1, 255]
    assert distilled.provenance["depth"] == "10 images of 16 bits, scaled to 8"


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_known_range_are_refused(dtype, refused, tmp_path):
    files = {f"{number}/x.tif": saved(np.full((8, 8), 300, dtype), "TIFF") for number in range(10)}
    folder = write(tmp_path / "x", files)
    refused("distilled", folder, *RDED[:4], message="whose range is not known; save it with 8 bits", names="x.tif")
