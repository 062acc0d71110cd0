"""Images as the official code shows them, to the last bit: for tests resized and cut, for training cropped at random.

Reference: torchvision's `Resize` (bilinear, anti-aliased), `CenterCrop` and `RandomResizedCrop` on Pillow images.
"""

import contextlib
import dataclasses
import io
import math
import warnings
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image

from gift_jax.data.datasets import DatasetSpec
from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.readers.image_files import FORMATS, MODES, eight_bits, is_deep
from gift_jax.readers.source import HEAD, refuse_stand_in

Box = tuple[int, int, int, int]
"""Top, left, height and width, in pixels."""

# Of random resized crops: share of the image's area, width by height, and draws before the middle is taken.
AREA, RATIO, ATTEMPTS = (0.08, 1.0), (3 / 4, 4 / 3), 10

INTERPOLATIONS: Mapping[str, Image.Resampling] = {kind.name.lower(): kind for kind in Image.Resampling}


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How a network's own test images were made: the shorter side scaled to `input / crop_pct`, rounded down.

    crop_pct: the share of a scaled side that the middle takes up, above 0, at most 1. interpolation: a name in
    `INTERPOLATIONS`. Raises: GiftError if they are not. Reference: timm's `resolve_data_config` has these names.
    """

    crop_pct: float
    interpolation: str

    def __post_init__(self) -> None:
        if not 0 < self.crop_pct <= 1:
            raise GiftError(f"crop_pct is {self.crop_pct}, expected a share above 0, at most 1")
        if self.interpolation not in INTERPOLATIONS:
            raise GiftError(f"interpolation is {self.interpolation!r}, expected one of {', '.join(INTERPOLATIONS)}")


@dataclasses.dataclass(frozen=True)
class Transform:
    """From an image file to a network's pixels: the shorter side resized, then the middle cut out.

    resize, crop: sides in pixels; resize None demands images of crop x crop. channels: 1 or 3. interpolation: a name
    in `INTERPOLATIONS`.
    """

    resize: int | None
    crop: int
    channels: int
    interpolation: str = "bilinear"

    def __call__(self, content: bytes, where: str) -> np.ndarray:
        """Decode the content of a file and transform it: uint8 [crop, crop, channels]. Args: where, for messages."""
        image = open_image(content, where, self.channels)
        if self.resize is not None:
            image = center_crop(resize(image, self.resize, INTERPOLATIONS[self.interpolation]), self.crop)
        if image.size != (self.crop, self.crop):
            raise GiftError(f"{where}: is {image.width} x {image.height} pixels, expected {self.crop} a side; check it")
        return np.asarray(image).reshape(self.crop, self.crop, self.channels)


@dataclasses.dataclass(frozen=True)
class TrainingTransform:
    """Training images as torchvision's reference shows them: a random resized crop, and half of them mirrored.

    Without crop images are shown as `test` does. flip: whether to mirror.
    """

    test: Transform
    crop: bool = True
    flip: bool = True

    def __call__(self, content: bytes, where: str, *, rng: np.random.Generator) -> np.ndarray:
        """Decode and transform, uint8 [S, S, channels]. Args: where, for messages; rng, decides the draws."""
        if self.crop:
            image, size = open_image(content, where, self.test.channels), self.test.crop
            image = resized_crop(image, random_box(image.width, image.height, rng), size)
            pixels = np.asarray(image).reshape(size, size, self.test.channels)
        else:
            pixels = self.test(content, where)
        return pixels[:, ::-1] if self.flip and rng.uniform(0, 1) < 0.5 else pixels


def open_image(content: bytes, where: str, channels: int) -> Image.Image:
    """Decode the content of a file. Raises: GiftError if it is damaged or too large, or its depth is not known."""
    with _refusing(content, where):
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        return (eight_bits(image) if is_deep(where, image) else image).convert(MODES[channels])


def open_header(content: bytes, where: str) -> Image.Image:
    """Read an image's size and mode, no pixels. Raises: GiftError if it is no image."""
    with _refusing(content, where):
        return Image.open(io.BytesIO(content), formats=FORMATS)


@contextlib.contextmanager
def _refusing(content: bytes, where: str) -> Iterator[None]:
    refuse_stand_in(where, content[:HEAD])
    damaged = damage_as_gift_error(f"{where}: is no readable image", "take it from the source again")
    with damaged, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Pillow's advice about palettes and metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def make_transform(spec: DatasetSpec, image_size: int, own: Preprocessing | None = None) -> Transform:
    """The test transform for an input of image_size pixels.

    On ImageNet and its subsets 256 to 224, and in that proportion 146 to 128 and 73 to 64; small images are taken as
    they are. Args: own, a network's own preprocessing in place of the dataset's usual one.
    """
    if own is not None:
        return Transform(math.floor(image_size / own.crop_pct), image_size, spec.channels, own.interpolation)
    resized = None if spec.resize is None else image_size * spec.resize[0] // spec.resize[1]
    return Transform(resized, image_size, spec.channels)


def resize(image: Image.Image, size: int, interpolation: Image.Resampling = Image.Resampling.BILINEAR) -> Image.Image:
    """Scale so that the shorter side is size pixels; the longer one is cut to whole pixels."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    if short == size:
        return image
    other = int(size * long / short)
    return image.resize((size, other) if width <= height else (other, size), interpolation)


def center_crop(image: Image.Image, size: int) -> Image.Image:
    """Cut out the middle size x size pixels; smaller images get a black border."""
    # As torchvision pads and rounds: half of what is missing comes before, half of what is too much is cut off.
    left, top = (round((side - size) / 2) if side > size else -((size - side) // 2) for side in image.size)
    return image.crop((left, top, left + size, top + size))


def random_box(width: int, height: int, rng: np.random.Generator) -> Box:
    """Draw the box of a random resized crop: area, then ratio, until one fits, then its place.

    Reference: torchvision's `RandomResizedCrop.get_params`, in the order of its draws.
    """
    log_ratio = (math.log(RATIO[0]), math.log(RATIO[1]))
    for _ in range(ATTEMPTS):
        area = width * height * rng.uniform(*AREA)
        ratio = math.exp(rng.uniform(*log_ratio))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            return int(rng.integers(height - high + 1)), int(rng.integers(width - wide + 1)), high, wide
    # The largest middle part with a ratio in the range.
    wide, high = min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0]))
    return (height - high) // 2, (width - wide) // 2, high, wide


def resized_crop(image: Image.Image, box: Box, size: int) -> Image.Image:
    """Cut a box out and scale it to size x size pixels."""
    top, left, high, wide = box
    return image.crop((left, top, left + wide, top + high)).resize((size, size), Image.Resampling.BILINEAR)
