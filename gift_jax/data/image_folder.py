"""Trees of class folders, and Tiny-ImageNet's own layout of its validation images."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gift_jax.data.class_order import read_class_order
from gift_jax.data.datasets import DatasetSpec
from gift_jax.data.records import Records, listing_digest
from gift_jax.errors import GiftError
from gift_jax.runtime.files import reported

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
TINY_LABELS, TINY_CLASSES = "val_annotations.txt", "wnids.txt"


def read_image_folder(root: Path, spec: DatasetSpec | None, class_order: Path | None = None) -> Records:
    """Read the list of images: class folders (numbers, wnids or names), or Tiny-ImageNet's `val` directory.

    Args: spec, whose classes the folders must be; None takes the classes that are there.

    Class ids are the folders' numbers, else their sorted order, else the lines of a class-order file. With such a
    file other folders are ignored: a subset can be read out of the whole of ImageNet. Images are in the order of
    their folders' names whatever the classes are.
    Raises: GiftError if the classes are not the dataset's, or one has no images.
    """
    root = Path(root)
    with reported(root):
        tiny = next((place for place in (root, root / "val") if (place / TINY_LABELS).is_file()), None)
        by_class = _tiny(tiny) if tiny else _folders(root)
    names = _class_names(root, sorted(by_class), spec, class_order)
    missing = [name for name in names if name not in by_class]
    if missing:
        print(f"warning: {root}: has no images of {len(missing)} classes, {missing[0]!r} among them", file=sys.stderr)
    present = [(name, label) for label, name in enumerate(names) if name in by_class]
    empty = next((name for name, _ in present if not by_class[name]), None)
    if empty is not None:
        raise GiftError(f"{root}: the class {empty!r} has no images; take them from the source again")
    # Not in the order of the classes: with another class order the decoded images stay where they are.
    by_name = sorted(present)
    paths = [path for name, _ in by_name for path in by_class[name]]
    labels = np.array([label for name, label in by_name for _ in by_class[name]], np.int32)
    # As one array of bytes: processes that decode get a copy each, and a million Path objects take ten seconds to copy.
    files = np.array([os.fsencode(path) for path in paths])

    def path_of(row: int) -> Path:
        return Path(os.fsdecode(files[row]))

    return Records(
        labels=labels,
        class_names=tuple(names),
        read=lambda row: path_of(row).read_bytes(),
        where=lambda row: str(path_of(row)),
        digest=listing_digest(root, paths),
    )


def _images(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.suffix.lower() in SUFFIXES)


def _folders(root: Path) -> dict[str, list[Path]]:
    return {path.name: _images(path) for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}


def _tiny(val: Path) -> dict[str, list[Path]]:
    """`val/images/*.JPEG`, whose classes are in val_annotations.txt: file, wnid and a box a line."""
    rows = [line.split("\t") for line in (val / TINY_LABELS).read_text(encoding="utf-8").splitlines() if line.strip()]
    if any(len(row) < 2 for row in rows):
        raise GiftError(f"{val / TINY_LABELS}: a line has no class; take the file from the source again")
    wnids = val.parent / TINY_CLASSES
    names = wnids.read_text(encoding="utf-8").split() if wnids.is_file() else [row[1] for row in rows]
    by_class: dict[str, list[Path]] = {name: [] for name in names}
    for file, wnid, *_ in sorted(rows):
        by_class.setdefault(wnid, []).append(val / "images" / file)
    return by_class


def _class_names(root: Path, folders: Sequence[str], spec: DatasetSpec | None, order: Path | None) -> Sequence[str]:
    if order is None and spec is not None and spec.class_names and set(folders) <= set(spec.class_names):
        return spec.class_names
    if order is not None:
        names = read_class_order(order, spec.num_classes if spec else None)
        missing = next((name for name in names if name not in folders), None)
        if missing is not None:
            raise GiftError(f"{root}: has no class folder {missing!r}, which {order} names; check the two")
        return names
    if spec is not None and len(folders) != spec.num_classes:
        raise GiftError(
            f"{root}: has {len(folders)} class folders, but {spec.name} has {spec.num_classes} classes; check the "
            "path, or name the folders to take by --class-order"
        )
    numbers = [int(folder) for folder in folders if re.fullmatch(r"[0-9]{1,9}", folder)]
    if len(numbers) < len(folders):
        return folders
    if sorted(numbers) != list(range(len(folders))):
        raise GiftError(f"{root}: its numbered class folders are not 0..{len(folders) - 1}; rename them")
    return sorted(folders, key=int)
