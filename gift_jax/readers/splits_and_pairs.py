"""Which part of a source is the set, where it holds several: arrays by their names, splits, repetitions."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from gift_jax.errors import GiftError
from gift_jax.readers.request import ReadRequest


class Pair(NamedTuple):
    """Usual names of images and labels, and the split that they are of (None: the only one)."""

    images: str
    labels: str
    split: str | None = None


_PARTS = {"train": "train", "val": "validation", "test": "test"}
_ANY = ("images/labels", "images/targets", "image/label", "imgs/labels", "x/y", "data/label", "data/labels")
_ANY += ("data/targets", "image_syn/label_syn")
PAIRS: tuple[Pair, ...] = (
    *(Pair(*names.split("/")) for names in _ANY),
    *(Pair(f"x_{part}", f"y_{part}", split) for part, split in _PARTS.items()),
    *(Pair(f"{part}_images", f"{part}_labels", split) for part, split in _PARTS.items()),
)
# Names of splits, in files and folders, and the one that stands for all of the same meaning.
SPLITS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# How the hub names shards: the split, then the shard's number.
_SHARD = re.compile(r"(.+?)-[0-9]+-of-[0-9]+(?:-[0-9a-f]+)?\.parquet", re.IGNORECASE)


def same_split(name: str) -> str:
    """A split's name, or the one that stands for it in `SPLITS`."""
    return SPLITS.get(name.lower(), name)


def pairs_in(label: str, names: Iterable[str]) -> list[Pair]:
    """The pairs of `PAIRS` among a source's arrays, under the names that they have there. Raises: GiftError if none."""
    names = list(names)
    found = [
        Pair(images, labels, pair.split)
        for pair in PAIRS
        for images in names
        for labels in names
        if (images.lower(), labels.lower()) == (pair.images, pair.labels)
    ]
    if not found:
        known = ", ".join(f"{pair.images} and {pair.labels}" for pair in PAIRS[:1] + PAIRS[4:5] + PAIRS[9:10])
        raise GiftError(f"{label}: holds {listed(names)}, expected images and labels by usual names ({known} ...)")
    return found


def choose_pair(label: str, names: Iterable[str], request: ReadRequest) -> Pair:
    """Names of the images and the labels among a source's arrays."""
    found = pairs_in(label, names)
    split = choose_split(label, [pair.split for pair in found], request)
    chosen = [pair for pair in found if pair.split == split]
    if len(chosen) != 1:
        pairs = " or ".join(f"{images!r} and {labels!r}" for images, labels, _ in chosen)
        raise GiftError(f"{label}: holds {pairs}; keep the pair that is meant")
    return chosen[0]


def choose_split(label: str, found: Iterable[str | None], request: ReadRequest) -> str | None:
    """Which of a source's splits to read: the one that an option names, else the one that is meant.

    That is the training images', or the test images', which may be the validation split; of a distilled set the only
    one.
    Args: found, the splits, None for images that are of none.
    """
    found, train, wanted = list(dict.fromkeys(found)), request.train, request.options.split
    option = "`test_split`" if train is False else "`split`"
    titles = ", ".join(split or "one without a name" for split in found)
    if wanted is not None:
        if same_split(wanted) not in found:
            raise GiftError(f"{label}: has no split {wanted!r}, it holds {titles}; give {option} one of them")
        return same_split(wanted)
    if train is None:
        if len(found) > 1:
            raise GiftError(f"{label}: holds several splits ({titles}); say which by `split`")
        return found[0]
    usual = [split for split in (("train",) if train else ("test", "validation")) if split in found]
    if usual:
        return usual[0]
    if None not in found:
        kind = "training" if train else "test"
        raise GiftError(f"{label}: holds the splits {titles}, none of {kind} images; say by {option} which to take")
    return None


def is_shard(name: str) -> bool:
    """Whether a file is a Parquet shard, by its name."""
    return name.lower().endswith(".parquet")


def shards_of(names: Iterable[str]) -> list[str]:
    """The Parquet shards among files, sorted by name."""
    return sorted(filter(is_shard, names))


def split_of_shard(name: str) -> str | None:
    """The split that a Parquet shard's name, or a folder above it, tells."""
    path = PurePosixPath(name)
    shard = _SHARD.fullmatch(path.name)
    word = re.match("[a-z]+", path.name.lower())
    words = (shard[1] if shard else None, *(part for part in path.parts[:-1] if part.lower() in SPLITS))
    told = next((word for word in words if word), word[0] if word and word[0] in SPLITS else None)
    return told and same_split(told)


def split_of_image(name: str) -> str | None:
    """The split that a folder above an image tells."""
    return next((SPLITS[part.lower()] for part in PurePosixPath(name).parts[:-1] if part.lower() in SPLITS), None)


def listed(names: Iterable[str], most: int = 4) -> str:
    """Names in quotes, and how many more there are."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + rest if names else "nothing"
