"""Test images as the official code shows them: Pillow's resizing and a centre crop, to the last bit.

Reference: torchvision's `Resize` (bilinear, anti-aliased) and `CenterCrop` on Pillow images.
"""

import dataclasses
import io
import warnings

import numpy as np
from PIL import Image

from gift_jax.data.datasets import DatasetSpec
from gift_jax.errors import GiftError

# Others are not opened: for some, Pillow starts other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF")
_MODES = {1: "L", 3: "RGB"}


@dataclasses.dataclass(frozen=True)
class Transform:
    """From an image file to a network's pixels: the shorter side resized, then the middle cut out.

    resize, crop: sides in pixels; resize None demands images of crop x crop. channels: 1 or 3.
    """

    resize: int | None
    crop: int
    channels: int

    def __call__(self, content: bytes, where: str) -> np.ndarray:
        """Decode and transform. Args: content of the file; where, its name for messages.

        Returns: uint8 [crop, crop, channels]. Raises: GiftError if it is damaged, too large, or of another size.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # Pillow's advice about palettes and metadata
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(content), formats=FORMATS).convert(_MODES[self.channels])
        except Exception as error:  # Pillow raises what it likes about a damaged file.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise GiftError(f"{where}: is no readable image ({reason}); take it from the source again") from None
        if self.resize is not None:
            image = center_crop(resize(image, self.resize), self.crop)
        if image.size != (self.crop, self.crop):
            raise GiftError(f"{where}: is {image.width} x {image.height} pixels, expected {self.crop} a side; check it")
        return np.asarray(image).reshape(self.crop, self.crop, self.channels)


def make_transform(spec: DatasetSpec, image_size: int) -> Transform:
    """The official test transform for an input of image_size pixels: on ImageNet and its subsets 256 to 224 and in
    that proportion 146 to 128 and 73 to 64; elsewhere images are taken as they are."""
    resized = image_size * 8 // 7 if spec.name.startswith("imagenet") else None
    return Transform(resized, image_size, spec.channels)


def resize(image: Image.Image, size: int) -> Image.Image:
    """Scale so that the shorter side is size pixels; the longer one is cut to whole pixels."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    if short == size:
        return image
    other = int(size * long / short)
    return image.resize((size, other) if width <= height else (other, size), Image.Resampling.BILINEAR)


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """Cut out the middle size x size pixels; smaller images get a black border."""
    width, height = image.size
    if width < size or height < size:
        missing_x, missing_y = max(size - width, 0), max(size - height, 0)
        padded = Image.new(image.mode, (width + missing_x, height + missing_y))
        padded.paste(image, (missing_x // 2, missing_y // 2))
        image, (width, height) = padded, padded.size
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))
