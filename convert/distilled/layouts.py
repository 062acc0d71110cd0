"""Which layout a source has, and which options are for which layout: two tables."""

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from gift_jax.errors import GiftError
from gift_jax.readers.archives import open_archive, open_inner
from gift_jax.readers.image_files import SUFFIXES
from gift_jax.readers.source import HEAD, Source, directory, openable, readable, refuse_stand_in, single_file
from gift_jax.readers.splits_and_pairs import PAIRS, listed
from gift_jax.runtime.files import os_errors_as_gift_error

from ..torch_file import is_safetensors
from . import arrays, data_pt, datm, folders, parquet
from .content import Content, Request


class Layout(NamedTuple):
    """A layout: its name in sentences, what the base name of one of its files matches, and its reader."""

    title: str
    pattern: re.Pattern[str]
    read: Callable[[Source, Request], Content]


def _layout(title: str, pattern: str, read: Callable[[Source, Request], Content]) -> Layout:
    return Layout(title, re.compile(pattern, re.IGNORECASE), read)


_ARRAY = "|".join(sorted({name for pair in PAIRS for name in (pair.images, pair.labels)}))
_IMAGE = "|".join(suffix.removeprefix(".") for suffix in SUFFIXES)

# The first that matches is taken: authors put pictures to look at beside their tensors.
LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "data.pt": _layout(
            "one torch file of images and labels (data.pt, [images, labels] or {'data': [[images, labels], ...]})",
            r"data\.pt",
            data_pt.read,
        ),
        "datm": _layout(
            "DATM's images_best.pt, labels_best.pt and lr_best.pt (MTT's pair, images.pt and labels.pt, or those of an "
            "iteration, images_5000.pt)",
            r"(images|labels|lr)(_best|_[0-9]+)?\.pt|images_zca_.*\.pt",
            datm.read,
        ),
        "arrays": _layout(
            "images.npy and labels.npy, or one .npz of both (x_train and y_train, ...)",
            rf"({_ARRAY})\.npy",
            arrays.read,
        ),
        "parquet": _layout("Parquet shards", r".*\.parquet", parquet.read),
        "images": _layout("class folders of images", rf".*\.({_IMAGE})", folders.read),
    }
)

# Layouts of encoded images, whose pixels cannot be normalised or whitened ones.
ENCODED = frozenset({"images", "parquet"})

# Options that say what a source does not, and the layouts that they are for.
OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "class_order": ("images", "parquet"),
        "soft_labels": ("data.pt", "datm", "arrays"),
        "repetition": ("data.pt",),
        "split": ("images", "parquet", "arrays", "data.pt"),
        "label_column": ("parquet",),
        "factor": ("data.pt", "datm", "arrays"),
        "iteration": ("datm",),
        "image_size": ("images", "parquet"),
    }
)


def find_layout(source: Source) -> str | None:
    """The name of a source's layout in `LAYOUTS`, by the names of its files; None if there is none."""
    bases = {PurePosixPath(name).name for name in source.sizes}
    return next((name for name, layout in LAYOUTS.items() if any(map(layout.pattern.fullmatch, bases))), None)


def open_source(path: Path) -> tuple[str, Source]:
    """The layout's name and the files of a released set; of an archive in an archive, those of the inner one.

    Where one archive or torch file, and nothing else that is understood, lies in a directory or archive, it is read.
    Raises: GiftError if it is missing, damaged, or of no layout that is understood.
    """
    source = directory(path) if path.is_dir() else _open_file(path)
    layout = source and find_layout(source)
    if source and not layout and len(files := openable(source, data_pt.SUFFIXES)) == 1:
        if path.is_dir():
            return open_source(path / files[0])
        source = _open_member(source, files[0])
        layout = source and find_layout(source)
    if not source or not layout:
        titles = "; ".join(layout.title for layout in LAYOUTS.values())
        raise GiftError(f"{path}: not understood, {_found(source)}; it may be, or hold in a zip or tar: {titles}")
    return layout, source


def _open_member(source: Source, name: str) -> Source | None:
    return source.alone(name, data_pt.NAME) if name.lower().endswith(data_pt.SUFFIXES) else open_inner(source, name)


def _found(source: Source | None) -> str:
    files = openable(source, data_pt.SUFFIXES) if source else []
    if len(files) > 1:
        return f"it holds {len(files)} archives or torch files ({listed(files, 2)}), give one of them"
    return f"it holds {listed(source.sizes, 3)}" if source else "it is none of these"


def _open_file(path: Path) -> Source | None:
    if not path.exists():
        raise GiftError(f"{path}: no such file or directory; check the path")
    with os_errors_as_gift_error(path), path.open("rb") as file:
        head = file.read(HEAD)
    refuse_stand_in(str(path), head)
    if head[:4] == b"PAR1":
        return single_file(path, "set.parquet")
    # Pickles of old torch versions begin with the protocol's mark.
    if head[:1] == b"\x80" or is_safetensors(head) or _is_torch_archive(path):
        return single_file(path, data_pt.NAME)
    return open_archive(path)


def _is_torch_archive(path: Path) -> bool:
    with readable(str(path)):
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return any(PurePosixPath(name).name == "data.pkl" for name in archive.namelist())
