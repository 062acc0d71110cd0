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


# Names of splits, in files and folders, and the one that stands for all of the same meaning.
SPLITS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_ANY = ("images/labels", "images/targets", "image/label", "imgs/labels", "x/y", "data/label", "data/labels")
_ANY += ("data/targets", "image_syn/label_syn")
PAIRS: tuple[Pair, ...] = (
    *(Pair(*names.split("/")) for names in _ANY),
    *(Pair(f"x_{part}", f"y_{part}", SPLITS[part]) for part in ("train", "val", "test")),
    *(Pair(f"{part}_images", f"{part}_labels", SPLITS[part]) for part in ("train", "val", "test")),
)
# How the hub names shards: the split, then the shard's number.
_SHARD = re.compile(r"(.+?)-[0-9]+-of-[0-9]+(?:-[0-9a-f]+)?\.parquet", re.IGNORECASE)


def same_split(name: str) -> str:
    """A split's name, or the one that stands for it in `SPLITS`."""
    return SPLITS.get(name.lower(), name)


def pairs_in(names: Iterable[str]) -> list[Pair]:
    """The pairs of `PAIRS` among a source's arrays, under the names that they have there."""
    names = list(names)
    return [
        Pair(images, labels, pair.split)
        for pair in PAIRS
        for images in names
        for labels in names
        if (images.lower(), labels.lower()) == (pair.images, pair.labels)
    ]


def choose_pair(label: str, names: Iterable[str], request: ReadRequest) -> Pair:
    """Names of the images and the labels among a source's arrays. Raises: GiftError if it is not clear which."""
    found = pairs_in(names := list(names))
    if not found:
        known = ", ".join(f"{pair.images} and {pair.labels}" for pair in (PAIRS[0], PAIRS[4], PAIRS[9]))
        raise GiftError(f"{label}: holds {listed(names)}, expected images and labels by usual names ({known} ...)")
    split = choose_split(label, [pair.split for pair in found], request)
    chosen = [pair for pair in found if pair.split == split]
    if len(chosen) != 1:
        pairs = " or ".join(f"{images!r} and {labels!r}" for images, labels, _ in chosen)
        raise GiftError(f"{label}: holds {pairs}; keep the pair that is meant")
    return chosen[0]


def choose_split(label: str, found: Iterable[str | None], request: ReadRequest) -> str | None:
    """Which of a source's splits to read: the one that an option names, else the one that is meant.

    That is the training images', or the test images', which may be the validation split; of a distilled set the only
    one. Args: found, the splits, None for images that are of none.
    """
    found, wanted = list(dict.fromkeys(found)), request.options.split
    option = "`test_split`" if request.train is False else "`split`"
    titles = ", ".join(split or "one without a name" for split in found)
    if wanted is not None:
        if same_split(wanted) not in found:
            raise GiftError(f"{label}: has no split {wanted!r}, it holds {titles}; give {option} one of them")
        return same_split(wanted)
    if request.train is None:
        if len(found) > 1:
            raise GiftError(f"{label}: holds several splits ({titles}); say which by `split`")
        return found[0]
    for split in ("train", None) if request.train else ("test", "validation", None):
        if split in found:
            return split
    kind = "training" if request.train else "test"
    raise GiftError(f"{label}: holds the splits {titles}, none of {kind} images; say by {option} which to take")


def is_shard(name: str) -> bool:
    """Whether a file is a Parquet shard, by its name."""
    return name.lower().endswith(".parquet")


def shards_of(names: Iterable[str]) -> list[str]:
    """The Parquet shards among files, sorted by name."""
    return sorted(filter(is_shard, names))


def split_of_shard(name: str) -> str | None:
    """The split that a Parquet shard's name, or a folder above it, tells."""
    base = PurePosixPath(name).name
    if shard := _SHARD.fullmatch(base):
        return same_split(shard[1])
    return split_of_image(name) or SPLITS.get(re.split("[^a-z]", base.lower())[0])


def split_of_image(name: str) -> str | None:
    """The split that a folder above an image tells."""
    return next((SPLITS[part.lower()] for part in PurePosixPath(name).parts[:-1] if part.lower() in SPLITS), None)


def listed(names: Iterable[str], most: int = 4) -> str:
    """Names in quotes, and how many more there are."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + rest if names else "nothing"
