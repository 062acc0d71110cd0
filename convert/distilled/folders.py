"""Class folders of images: SRe2L, CDA, G-VBSM (`new000/`), RDED (`00000/`) and any ImageFolder tree."""

import collections
import functools
import json
import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np
import PIL

from gift_jax.data.class_order import read_class_order
from gift_jax.errors import GiftError
from gift_jax.runtime.files import sha256

from .content import Content, Request, too_few
from .decode import LARGEST_FILE, SUFFIXES, Blob, decode
from .source import Source

_NUMBERED = re.compile(r"(?:new)?([0-9]{1,9})")


def read(source: Source, request: Request) -> Content:
    """Read the first ipc images of each class folder, in sorted order of their names, whatever the order on disk.

    Raises: GiftError if the folders are not the dataset's classes, or an image is damaged or of another size.
    Reference: torchvision's ImageFolder, which all official readers but RDED's build on.
    """
    by_folder = _images_by_folder(source)
    order, note = _class_order(source, sorted(by_folder), request)
    names = [name for folder in order for name in _first(source, folder, by_folder[folder], request.ipc)]
    rows = {name: row for row, name in enumerate(names)}
    wanted = (name for name in source.sizes if name in rows)  # in the order that is cheapest to read
    blobs = (Blob(rows[name], f"{source.label}: {name!r}", _content(source, name)) for name in wanted)
    images = decode(blobs, len(rows), request.spec.channels)
    labels = np.repeat(np.arange(len(order), dtype=np.int32), request.ipc)
    notes = {"classes": note, "decoder": f"Pillow {PIL.__version__}"}
    return Content(images, labels, None, sum(map(len, by_folder.values())), "in sorted order of file names", notes)


def _content(source: Source, name: str) -> Callable[[], bytes]:
    """Files on disk are read by the threads that decode them, an archive by one thread and in its order."""
    if source.on_disk(name):
        return functools.partial(source.read, name, LARGEST_FILE)
    return functools.partial(bytes, source.read(name, LARGEST_FILE))


def _images_by_folder(source: Source) -> dict[str, list[str]]:
    """Names of images by class folder: the first folders below all that the images have in common."""
    images = [name for name in source.sizes if name.lower().endswith(SUFFIXES)]
    parents = {PurePosixPath(name).parent.parts for name in images}
    shared = _shared_depth(parents)
    by_folder: dict[str, list[str]] = {}
    for name in images:
        parts = PurePosixPath(name).parts
        if len(parts) < shared + 2:
            raise GiftError(f"{source.label}: {name!r} is in no class folder; give a folder that holds class folders")
        by_folder.setdefault(parts[shared], []).append(name)
    return by_folder


def _shared_depth(parents: set[tuple[str, ...]]) -> int:
    first, last = min(parents), max(parents)
    same = (left == right for left, right in zip(first, last, strict=False))
    return next((depth for depth, equal in enumerate(same) if not equal), min(len(first), len(last)))


def _class_order(source: Source, folders: Sequence[str], request: Request) -> tuple[Sequence[str], str]:
    """Folders by class id, and a sentence that says where the ids come from."""
    if request.class_order:
        return _ordered_by_file(source, folders, request)
    num_classes = request.spec.num_classes
    numbers = [int(match[1]) for folder in folders if (match := _NUMBERED.fullmatch(folder))]
    if len(numbers) == len(folders):
        _check_numbers(source, numbers, num_classes)
        return sorted(folders, key=dict(zip(folders, numbers, strict=True)).__getitem__), "the folders' numbers"
    if numbers:
        stranger = next(folder for folder in folders if not _NUMBERED.fullmatch(folder))
        raise GiftError(f"{source.label}: {stranger!r} is among folders that are numbered; remove it, or rename it")
    if len(folders) != num_classes:
        raise GiftError(
            f"{source.label}: has {len(folders)} class folders ({folders[0]!r} ...), expected {num_classes}; "
            "check --dataset and the path"
        )
    return folders, f"folders in sorted order: {json.dumps(folders)}"


def _check_numbers(source: Source, numbers: Sequence[int], num_classes: int) -> None:
    counts = collections.Counter(numbers)
    wrong = next((number for number in sorted({*range(num_classes), *counts}) if counts[number] != 1), None)
    outside = next((number for number in sorted(counts) if number >= num_classes), None)
    wrong = outside if wrong is None else wrong
    if wrong is not None:
        raise GiftError(
            f"{source.label}: class {wrong} has {counts[wrong]} folders, but classes 0..{num_classes - 1} must have "
            "one each; check --dataset, or give the order of the folders by --class-order"
        )


def _ordered_by_file(source: Source, folders: Sequence[str], request: Request) -> tuple[Sequence[str], str]:
    path = request.class_order
    assert path is not None
    order = read_class_order(path, request.spec.num_classes)
    for missing in sorted(set(order) ^ set(folders)):
        where = f"is in {path}, but no folder" if missing in order else f"is a folder, but not in {path}"
        raise GiftError(f"{source.label}: {missing!r} {where}; name each class folder once in --class-order")
    return order, f"class-order file {path.name}, SHA-256 {sha256(path)}: {json.dumps(order)}"


def _first(source: Source, folder: str, names: Sequence[str], ipc: int) -> Sequence[str]:
    if len(names) < ipc:
        raise too_few(source.label, f"the class folder {folder!r}", len(names), ipc)
    return sorted(names)[:ipc]
