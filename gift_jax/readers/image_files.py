"""Encoded images: which files are read as such, and 16-bit grey values as 8-bit ones."""

from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, TiffImagePlugin

from gift_jax.errors import GiftError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
UNREAD = (  # of images of other kinds
    *(".gif", ".apng", ".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx", ".jpe", ".jfif", ".jif", ".tga"),
    *(".ico", ".psd", ".svg", ".eps", ".exr", ".hdr", ".dds", ".pbm", ".pnm", ".pcx", ".dib", ".dcm", ".dng", ".cr2"),
    *(".nef", ".arw", ".raw"),
)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF")  # for some others, Pillow starts other programs
LARGEST_FILE = 256 << 20  # bytes of an image file
MODES = {1: "L", 3: "RGB"}  # Pillow's, by the number of channels
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")  # of 16-bit grey, of which Pillow's `convert` keeps 0 to 255 only
GREY_MODES = frozenset({"1", "L", "LA", *_SIXTEEN, "I"})  # of images without colour


def unread_endings(names: Iterable[str]) -> str:
    """The endings of those files that are images, but not read: `.gif, .heic`."""
    return ", ".join(sorted({PurePosixPath(name).suffix.lower() for name in names} & {*UNREAD}))


def is_deep(label: str, image: Image.Image) -> bool:
    """Whether it is a grey image of 16 bits. Raises: GiftError if its depth has no known range."""
    # TIFF's tag 258 has the bits per sample; of PNG and PPM, mode I holds 16 bits over the whole of their range.
    bits = image.tag_v2.get(258, (16,)) if isinstance(image, TiffImagePlugin.TiffImageFile) else (16,)
    deep = image.mode in _SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if (image.mode in ("I", "F") and not deep) or (deep and tuple(bits) != (16,)):
        raise GiftError(f"{label} has pixels of mode {image.mode}, whose range is not known; save it with 8 bits")
    return deep


def eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey to 8 bits: 65535 becomes 255, in between the nearest level."""
    return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8))
