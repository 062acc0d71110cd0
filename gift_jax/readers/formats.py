"""Labelled images in any form that people have them in: one table of forms, each known by the names of its files."""

import functools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers import arrays, cifar, folders, idx
from gift_jax.readers.archives import open_archive, open_inner
from gift_jax.readers.classes import names_with_ids
from gift_jax.readers.image_files import unread_endings
from gift_jax.readers.records import Records, hold_out
from gift_jax.readers.request import NO_READING_OPTIONS, KnownClasses, ReadRequest, SourceOptions
from gift_jax.readers.source import HEAD, Source, check_file, directory, openable, refuse_stand_in, single_file
from gift_jax.readers.splits_and_pairs import is_shard, listed, shards_of, split_of_shard
from gift_jax.runtime.files import os_errors_as_gift_error


class Form(NamedTuple):
    """A form: its name in sentences, whether a file of a base name is of it, its splits, reader, options and order."""

    title: str
    has: Callable[[str], bool]
    splits: Callable[[Source], list[str | None]]
    read: Callable[[Source, ReadRequest], Records]
    options: tuple[str, ...] = ()
    order: str = "in the file's order"


def _shard_splits(source: Source) -> list[str | None]:
    return list(dict.fromkeys(map(split_of_shard, shards_of(source.sizes))))


def _read_shards(source: Source, request: ReadRequest) -> Records:
    from gift_jax.readers import parquet  # pyarrow is needed for nothing else

    return parquet.read(source, request)


# The first that has a file is taken: beside arrays and shards there may be pictures to look at.
FORMS: Mapping[str, Form] = {
    "idx": Form("IDX files (MNIST's format)", idx.is_idx, idx.splits, idx.read),
    "cifar": Form("CIFAR's own files", cifar.is_cifar, cifar.splits, cifar.read, ("class_order",)),
    "parquet": Form(
        "Parquet shards",
        is_shard,
        _shard_splits,
        _read_shards,
        ("split", "label_column", "class_order"),
        "in the order of the shards' rows",
    ),
    "arrays": Form(
        "images.npy and labels.npy, or one .npz of both (x_train and y_train, ...)",
        arrays.is_array,
        arrays.splits,
        arrays.read,
        ("split",),
    ),
    "images": Form(
        "class folders of images",
        folders.is_image,
        folders.splits,
        folders.read,
        ("split", "labels", "class_order"),
        "in sorted order of file names",
    ),
}


def read_images(
    path: Path, *, train: bool, reading: SourceOptions = NO_READING_OPTIONS, spec: KnownClasses | None = None
) -> Records:
    """List the training or the test images of a source; none is decoded yet.

    Args: reading, what the source does not say of itself; spec, the dataset, None if it is new.
    """
    form, source = _opened(path)
    for option, value in vars(reading).items():
        if value is not None and option not in (*form.options, "hold_out"):
            name = option if train or option not in ("split", "labels") else f"test_{option}"
            raise GiftError(f"{path}: is {form.title}, for which `{name}` has no meaning; drop it")
    share = reading.hold_out
    records = form.read(source, ReadRequest(train or share is not None, reading, spec))
    if not len(records.labels):
        raise GiftError(f"{path}: has no images; check the path")
    records = records if share is None else hold_out(records, share, train=train)
    counts = np.bincount(records.labels, minlength=len(records.class_names))
    missing = [name for name, count in zip(records.class_names, counts, strict=True) if not count]
    if missing:
        print(f"warning: {path}: has no images of {len(missing)} classes, {missing[0]!r} among them", file=sys.stderr)
    if spec is not None and records.classes.ids:
        _say_classes(path, names_with_ids(records.classes))
    return records


@functools.cache
def _say_classes(path: Path, classes: str) -> None:
    """Say once which class id each name has, so that a mix-up is seen."""
    print(f"classes   {path}: {classes}", file=sys.stderr)


def has_test_images(path: Path) -> bool:
    """Whether a source, from which training images were read, keeps test images apart from them."""
    form, source = _opened(path)
    return not {"test", "validation"}.isdisjoint(form.splits(source))


def _opened(path: Path) -> tuple[Form, Source]:
    """A source and its form. Where an archive lies in it, and nothing else that is understood, that one is read."""
    source = open_files(path)
    form = source and _form_of(source)
    if source and not form and len(inner := openable(source)) == 1:
        source = open_inner(source, inner[0])
        form = source and _form_of(source)
    if source and form:
        return form, source
    titles = "; ".join(form.title for form in FORMS.values())
    raise GiftError(f"{path}: {_found(source)}; it may be, or hold in a zip or tar: {titles}")


def open_files(path: Path, known_as: Callable[[Path, bytes], str | None] = lambda *_: None) -> Source | None:
    """The files of a directory or an archive, or one file alone; None if it is none that is understood.

    Args: known_as, the name that a lone file is known by, of its path and its first bytes; None if it is none.
    """
    if path.is_dir():
        return directory(path)
    check_file(path)
    with os_errors_as_gift_error(path), path.open("rb") as file:
        head = file.read(HEAD)
    refuse_stand_in(str(path), head)
    if head[:4] == b"PAR1":
        return single_file(path, path.name if is_shard(path.name) else "data.parquet")
    if name := known_as(path, head):
        return single_file(path, name)
    if idx.is_idx(path.name) or cifar.is_cifar(path.name):
        raise GiftError(f"{path}: is one of several files that belong together; give the directory that has them")
    return open_archive(path)


def _form_of(source: Source) -> Form | None:
    bases = {PurePosixPath(name).name for name in source.sizes}
    return next((form for form in FORMS.values() if any(map(form.has, bases)) and form.splits(source)), None)


def _found(source: Source | None) -> str:
    if source is None:
        return "is none of the files that are understood"
    if len(inner := openable(source)) > 1:
        return f"holds {len(inner)} archives ({listed(inner, 2)}); give one of them"
    if any(name.endswith(arrays.SUFFIX) for name in source.sizes):
        arrays.find_pair(source, ReadRequest(train=None))  # which says how they should be named
    if not source.sizes:
        return "holds no files"
    if endings := unread_endings(source.sizes):
        return f"holds images that are not read ({endings}), and none that are; save them as PNG"
    return f"holds {listed(source.sizes, 3)}, and nothing that is understood"
