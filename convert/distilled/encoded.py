"""Sets of image files, in any form that `gift_jax.readers` reads: the first of each class, decoded safely."""

import functools
from typing import NamedTuple

import numpy as np
import PIL

from gift_jax.data.transforms import center_crop, open_header, open_image, resize
from gift_jax.errors import GiftError
from gift_jax.readers.classes import are_numbers, names_with_ids
from gift_jax.readers.formats import FORMS, Form
from gift_jax.readers.image_files import is_deep
from gift_jax.readers.records import Records, decoded
from gift_jax.readers.source import Source
from gift_jax.runtime.progress import display

from ..request import Request
from .content import Content, allocated, first_of_each_class
from .methods import release_of

LARGEST_SIDE = 2048  # pixels; distilled images have 32 to 224


class StoredImage(NamedTuple):
    """pixels: uint8 [S, S, C]; side: that it was stored with; deep: whether with 16 bits a pixel."""

    pixels: np.ndarray
    side: int
    deep: bool


def decode_square(content: bytes, where: str, *, channels: int, size: int | None = None) -> StoredImage:
    """From an image file to its pixels, RGB or grey as torchvision's ImageFolder has them; 16 bits are scaled to 8.

    Args: size, the side in pixels to resize to, as torchvision's Resize and CenterCrop do it.
    """
    header = open_header(content, where)
    width, height = header.size
    if width != height or width > LARGEST_SIDE:
        problem = "not square" if width != height else f"larger than {LARGEST_SIDE} a side"
        raise GiftError(f"{where}: is {width} x {height} pixels, {problem}; take the file from the source again")
    image = open_image(content, where, channels)
    if size is not None:
        image = center_crop(resize(image, size), size)
    return StoredImage(np.asarray(image).reshape(*image.size, channels), width, is_deep(where, header))


def read_images(form: Form, source: Source, request: Request) -> Content:
    """The first ipc images of each class of a source. Raises: GiftError if it is not of the dataset, or damaged.

    Reference: torchvision's ImageFolder, which all official readers but RDED's build on.
    """
    release, spec = release_of(request.method), request.spec
    usual = spec.image_size if release.resized and spec.resize else None
    records = form.read(source, request.for_readers(release.copies))
    if not len(records.labels):
        raise GiftError(f"{source.label}: holds no images; check the path")
    rows = first_of_each_class(source.label, records.labels, request, records.class_names)
    if form is FORMS["images"]:
        rows = rows[np.argsort(records.labels[rows], kind="stable")]
    images, notes = decode(records, rows, channels=spec.channels, size=request.image_size or usual)
    classes = records.classes
    notes = {**records.notes, "classes": classes.note, **notes}
    if classes.ids:
        print(f"classes   {names_with_ids(classes)}")
    names = () if are_numbers(classes.names) else classes.names
    first = next((name for name, label in classes.ids.items() if label == 0), None)
    return Content(images, records.labels[rows], None, len(records.labels), form.order, notes, names, first)


def decode(
    records: Records, rows: np.ndarray, *, channels: int, size: int | None = None
) -> tuple[np.ndarray, dict[str, str]]:
    """Decode rows, int [N]. Returns: uint8 [N, S, S, C], of that size or of the first image's, and notes."""
    images, sides, deep = np.zeros((0, 0, 0, 0), np.uint8), set[int](), 0
    transform = functools.partial(decode_square, channels=channels, size=size)
    with display("decoding", len(rows), "images") as advance:
        for place, image in enumerate(decoded(records, transform, rows.tolist())):
            if place == 0:
                what = f"{records.where(int(rows[0]))}: {len(rows)} such images"
                images = allocated((len(rows), *image.pixels.shape), np.uint8, what)
            if image.pixels.shape != images.shape[1:]:
                raise GiftError(
                    f"{records.where(int(rows[place]))}: is {image.side} pixels a side, but the first image is "
                    f"{images.shape[1]}; take the file from the source again, or the right folder"
                )
            images[place] = image.pixels
            sides.add(image.side)
            deep += image.deep
            advance(1, "")
    notes = {"decoder": f"Pillow {PIL.__version__}"}
    if deep:
        notes["depth"] = f"{deep} images of 16 bits, scaled to 8"
    if others := sorted(sides - {images.shape[1]}):
        stored = " and ".join(map(str, others))
        notes["resized"] = f"from {stored} to {images.shape[1]} pixels, as torchvision's Resize on Pillow images"
    return images, notes
