"""Tiny-ImageNet's own layout of its validation images: one folder, and a file that has the class of each."""

from pathlib import PurePosixPath

from gift_jax.errors import GiftError
from gift_jax.readers.request import ReadRequest
from gift_jax.readers.source import Source
from gift_jax.readers.splits_and_pairs import split_of_image
from gift_jax.readers.text import read_text

LABELS = "val_annotations.txt"
LARGEST_TEXT = 1 << 28  # bytes


def annotated(source: Source, images: set[str], request: ReadRequest) -> dict[str, list[str]] | None:
    """Images by class as `val_annotations.txt` has them; None if its images have been moved into class folders."""
    found = next((name for name in source.sizes if PurePosixPath(name).name == LABELS), None)
    if found is None or (split_of_image(found) is not None and (request.train or request.options.split)):
        return None
    by_class = _read(source, found)
    listed = [name for names in by_class.values() for name in names]
    there = sum(name in images for name in listed)
    if not there and images:
        return None
    if there < len(listed):
        missing = next(name for name in listed if name not in images)
        raise GiftError(f"{source.label}: {missing!r} is not there, but {found} names it; take both from the source")
    return by_class


def _read(source: Source, annotations: str) -> dict[str, list[str]]:
    """`images/*.JPEG` beside the file, which has an image, its wnid and a box a line."""
    text = read_text(source.title(annotations), source.read(annotations, LARGEST_TEXT))
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    if any(len(row) < 2 for row in rows):
        title = source.title(annotations)
        raise GiftError(f"{title}: a line has no class; take the file from the source again")
    by_class: dict[str, list[str]] = {}
    for file, wnid, *_ in sorted(rows):
        by_class.setdefault(wnid, []).append(str(PurePosixPath(annotations).parent / "images" / file))
    return by_class
