"""Class folders: which folder of a tree stands for an image's class."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from gift_jax.readers.splits_and_pairs import one_split, split_of_image

NO_FOLDER = ""


def by_class_folder(images: Sequence[str], others: Iterable[str] = ()) -> dict[str, list[str]]:
    """Names of images by class folder: the first folders below all that the images have in common.

    Those that lie in no such folder are under `NO_FOLDER`. Args: others, names of other files; their folders, where
    class folders are, have no images.
    """
    shared = _shared_depth({PurePosixPath(name).parent.parts for name in images}) if images else 0
    by_folder: dict[str, list[str]] = {}
    for name in images:
        parts = PurePosixPath(name).parts
        by_folder.setdefault(parts[shared] if len(parts) > shared + 1 else NO_FOLDER, []).append(name)
    above = PurePosixPath(images[0]).parts[:shared] if images else ()
    for parts in (PurePosixPath(name).parts for name in others):
        if parts[:shared] == above and len(parts) > shared + 1:
            by_folder.setdefault(parts[shared], [])
    return by_folder


def images_of_split(label: str, images: list[str], split: str | None) -> list[str]:
    """A class may well be called `train`: folders are splits where each image lies in one, or where it is said."""
    if split is None and not in_splits(images):
        return images
    return one_split(label, images, split_of_image, split)


def in_splits(images: Iterable[str]) -> bool:
    """Whether each image lies in the folder of a split."""
    return None not in map(split_of_image, images)


def _shared_depth(parents: set[tuple[str, ...]]) -> int:
    """Folders that all images have in common, but for the one that an image lies in: that may be its class."""
    first, last = min(parents), max(parents)
    same = (left == right for left, right in zip(first, last, strict=False))
    common = next((depth for depth, equal in enumerate(same) if not equal), min(len(first), len(last)))
    return max(0, min(common, *(len(parent) - 1 for parent in parents)))
