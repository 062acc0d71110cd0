"""Image files: trees of class folders, Tiny-ImageNet's validation images, or a list of labels."""

import functools
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.classes import order_classes
from gift_jax.readers.image_files import SUFFIXES, UNREAD, unread_endings
from gift_jax.readers.label_list import read_labels
from gift_jax.readers.records import Records, file_records
from gift_jax.readers.request import ReadRequest
from gift_jax.readers.source import Source, openable
from gift_jax.readers.splits_and_pairs import choose_split, split_of_image
from gift_jax.readers.text import read_text, same_text

_ANNOTATIONS = "val_annotations.txt"  # Tiny-ImageNet's validation images lie in one folder; this has each one's class
_LARGEST_ANNOTATIONS = 1 << 28  # bytes


def is_image(base: str) -> bool:
    """Whether a file of that base name is an image."""
    return base.lower().endswith(SUFFIXES)


def splits(source: Source) -> list[str | None]:
    """The splits that are there."""
    images = _images(source)
    return list(dict.fromkeys(map(split_of_image, images))) if _in_splits(images) else [None]


def read(source: Source, request: ReadRequest) -> Records:
    """The images of one split, by class: folders (numbers, wnids or names), annotations, or a list.

    With a class-order file other folders are ignored: a subset can be read out of the whole of ImageNet. Images are in
    the order of their folders' names whatever the classes are, and in a folder in that of their own.
    """
    images, options, kind = _images(source), request.options, "folder"
    _say_left_out(source)
    if options.labels is not None:
        by_class = read_labels(Path(options.labels), _of_split(source, images, request), options.class_order)
        kind, notes = "label", {"labels": options.labels}
    elif annotated := _annotated(source, set(images), request):
        by_class, notes = annotated, {"labels": _ANNOTATIONS}
    else:
        images = _of_split(source, images, request)
        by_class = _by_folder(source, images, request)
        split = split_of_image(images[0]) if images else None
        notes = {"split": split} if split and (options.split or _in_splits(images)) else {}
        if suffix := request.copies:
            # Authors' readers do not open folders that are named as another one with this suffix.
            copies = {f"{name}{suffix}" for name in by_class} & by_class.keys()
            by_class = {name: files for name, files in by_class.items() if name not in copies}
            notes |= {"left out": f"{len(copies)} folders of images before optimisation (*{suffix})"} if copies else {}
    order = order_classes(source.label, sorted(by_class), request, kind)
    empty = next((name for name in order.ids if not by_class[name]), None)
    if empty is not None:
        inside = (name for name in source.sizes if empty in map(same_text, PurePosixPath(name).parts))
        if endings := unread_endings(inside):
            raise GiftError(f"{source.label}: the class {empty!r} has no images but {endings}; save them as PNG")
        raise GiftError(f"{source.label}: the class {empty!r} has no images; take them from the source again")
    # Not in the order of the classes: with another class order the decoded images stay where they are.
    by_name = sorted(order.ids.items())
    files = [file for name, _ in by_name for file in by_class[name]]
    labels = np.array([label for name, label in by_name for _ in by_class[name]], np.int32)
    return file_records(source, files, labels, order, notes)


def _images(source: Source) -> list[str]:
    return sorted(filter(is_image, source.sizes), key=lambda name: name.split("/"))


def _say_left_out(source: Source) -> None:
    left_out = sorted(name for name in source.sizes if name.lower().endswith(UNREAD))
    if left_out:
        files = f"{len(left_out)} image{'s' * (len(left_out) != 1)} ({unread_endings(left_out)}; {left_out[0]!r} first)"
        _warn(f"{source.label}: {files} are left out, since such files are not read; save them as PNG")


@functools.cache
def _warn(text: str) -> None:
    """Once, though a source may be read for training and for test images."""
    print(f"warning: {text}", file=sys.stderr)


def _in_splits(images: Iterable[str]) -> bool:
    return None not in map(split_of_image, images)


def _of_split(source: Source, images: list[str], request: ReadRequest) -> list[str]:
    """The images of one split. A class may well be called `train`: each image must lie in a split's folder."""
    if request.options.split is None and not _in_splits(images):
        return images
    found: dict[str | None, list[str]] = {}
    for image in images:
        found.setdefault(split_of_image(image), []).append(image)
    # Test images without classes, as ImageNet's and Tiny-ImageNet's are, test nothing.
    sorted_ones = [split for split, names in found.items() if len(_by_class_folder(names)) > 1]
    usable = (request.train is False and request.options.labels is None and sorted_ones) or list(found)
    return found[choose_split(source.label, usable, request)] if found else images


def _by_class_folder(images: Sequence[str], others: Iterable[str] = ()) -> dict[str, list[str]]:
    """Images by the first folder below all that they have in common, "" for none; the folders of others are empty."""
    parents = {PurePosixPath(name).parent for name in images}
    common = PurePosixPath(os.path.commonpath(parents)).parts if parents else ()
    # The folder that an image lies in may be its class, even if it is that of all.
    shared = max(0, min([len(common), *(len(parent.parts) - 1 for parent in parents)]))
    by_folder: dict[str, list[str]] = {}
    for name in images:
        parts = PurePosixPath(name).parts
        by_folder.setdefault(same_text(parts[shared]) if len(parts) > shared + 1 else "", []).append(name)
    for parts in (PurePosixPath(name).parts for name in others):
        if parts[:shared] == common[:shared] and len(parts) > shared + 1:
            by_folder.setdefault(same_text(parts[shared]), [])
    return by_folder


def _by_folder(source: Source, images: Sequence[str], request: ReadRequest) -> dict[str, list[str]]:
    leftover = any(PurePosixPath(name).name == _ANNOTATIONS for name in source.sizes)
    empty = [f"{name}/-" for name in source.empty if not (leftover and PurePosixPath(name).name == "images")]
    # Beside a distilled set's class folders there may be logs.
    others = [] if request.train is None else [*(name for name in source.sizes if not is_image(name)), *empty]
    by_folder = _by_class_folder(images, others)
    if flat := by_folder.get(""):
        mend = "say the images' classes by `labels`, a file with `name label` a line, or give class folders alone"
        if request.train is None:
            files = openable(source, (".pt", ".pth", ".safetensors"))
            mend = "give a directory of class folders alone" + (f", or the file {files[0]!r} itself" if files else "")
        raise GiftError(f"{source.label}: {flat[0]!r} is in no class folder; {mend}")
    return by_folder


def _annotated(source: Source, images: set[str], request: ReadRequest) -> dict[str, list[str]] | None:
    """Tiny-ImageNet's images by class; None if its images have been moved into class folders."""
    found = next((name for name in source.sizes if PurePosixPath(name).name == _ANNOTATIONS), None)
    if found is None or (split_of_image(found) is not None and (request.train or request.options.split)):
        return None
    # `images/*.JPEG` beside the file, which has an image, its wnid and a box a line.
    text = read_text(source.title(found), source.read(found, _LARGEST_ANNOTATIONS))
    rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    if any(len(row) < 2 for row in rows):
        raise GiftError(f"{source.title(found)}: a line has no class; take the file from the source again")
    by_class: dict[str, list[str]] = {}
    for file, wnid, *_ in sorted(rows):
        by_class.setdefault(wnid, []).append(str(PurePosixPath(found).parent / "images" / file))
    missing = [name for names in by_class.values() for name in names if name not in images]
    if images and len(missing) == len(rows):
        return None
    if missing:
        raise GiftError(f"{source.label}: {missing[0]!r} is not there, but {found} names it; take both from the source")
    return by_class
