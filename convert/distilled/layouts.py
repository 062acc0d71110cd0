"""Which layout a source has, and which options each one takes: a table."""

import functools
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gift_jax.errors import GiftError
from gift_jax.readers.archives import open_inner
from gift_jax.readers.formats import FORMS, Form, open_files
from gift_jax.readers.source import Source, openable, readable
from gift_jax.readers.splits_and_pairs import listed

from ..request import Request
from ..torch_file import is_safetensors
from . import arrays, data_pt, datm, encoded
from .content import Content


class Layout(NamedTuple):
    """A layout: its name in sentences, whether a file of a base name is of it, its reader, and options for it alone."""

    title: str
    has: Callable[[str], object]
    read: Callable[[Source, Request], Content]
    options: tuple[str, ...]


_DATM = re.compile(r"(images|labels|lr)(_best|_[0-9]+)?\.pt|images_zca_.*\.pt", re.IGNORECASE)
_OF_TENSORS = ("soft_labels", "factor")
# Those of encoded images, whose pixels cannot be normalised or whitened ones.
ENCODED = tuple(name for name in FORMS if name != "arrays")


def _of_form(form: Form, read: Callable[[Source, Request], Content], *further: str) -> Layout:
    return Layout(form.title, form.has, read, (*form.options, *further))


# The first that has a file is taken: authors put pictures to look at beside their tensors.
LAYOUTS: Mapping[str, Layout] = {
    "data.pt": Layout(
        "one torch file of images and labels (data.pt, [images, labels] or {'data': [[images, labels], ...]})",
        lambda base: base.lower() == data_pt.NAME,
        data_pt.read,
        ("split", "repetition", *_OF_TENSORS),
    ),
    "datm": Layout(
        "DATM's images_best.pt, labels_best.pt and lr_best.pt (MTT's pair, images.pt and labels.pt, or those of an "
        "iteration, images_5000.pt)",
        _DATM.fullmatch,
        datm.read,
        ("iteration", *_OF_TENSORS),
    ),
    "arrays": _of_form(FORMS["arrays"], arrays.read, *_OF_TENSORS),
    **{
        name: _of_form(FORMS[name], functools.partial(encoded.read_images, FORMS[name]), "image_size")
        for name in ENCODED
    },
}
# All options that only some layouts take.
OPTIONS = {option for layout in LAYOUTS.values() for option in layout.options}


def find_layout(source: Source) -> str | None:
    """The name of a source's layout in `LAYOUTS`, by the names of its files; None if there is none."""
    bases = {PurePosixPath(name).name for name in source.sizes}
    return next((name for name, layout in LAYOUTS.items() if any(map(layout.has, bases))), None)


def open_source(path: Path) -> tuple[str, Source]:
    """The layout's name and the files of a released set; of an archive in an archive, those of the inner one.

    Where one archive or torch file, and nothing else that is understood, lies in a directory or archive, it is read.
    """
    source = open_files(path, _known_as)
    layout = source and find_layout(source)
    if source and not layout and len(files := openable(source, data_pt.SUFFIXES)) == 1:
        if path.is_dir():
            return open_source(path / files[0])
        lone = files[0].lower().endswith(data_pt.SUFFIXES)
        source = source.alone(files[0], data_pt.NAME) if lone else open_inner(source, files[0])
        layout = source and find_layout(source)
    if not source or not layout:
        titles = "; ".join(layout.title for layout in LAYOUTS.values())
        raise GiftError(f"{path}: not understood, {_found(source)}; it may be, or hold in a zip or tar: {titles}")
    return layout, source


def _found(source: Source | None) -> str:
    files = openable(source, data_pt.SUFFIXES) if source else []
    if len(files) > 1:
        return f"it holds {len(files)} archives or torch files ({listed(files, 2)}), give one of them"
    return f"it holds {listed(source.sizes, 3)}" if source else "it is none of these"


def _known_as(path: Path, head: bytes) -> str | None:
    """The name that a torch file alone is known by. Raises: GiftError if others of its set lie beside it."""
    beside = [other for other in path.parent.glob("*.pt") if _DATM.fullmatch(other.name) and other.name != path.name]
    if _DATM.fullmatch(path.name) and beside:
        raise GiftError(f"{path}: is one of several files that belong together; give the directory that has them")
    # Pickles of old torch versions begin with the protocol's mark.
    torch_file = head[:1] == b"\x80" or is_safetensors(head) or _is_torch_archive(path)
    return data_pt.NAME if torch_file else None


def _is_torch_archive(path: Path) -> bool:
    with readable(str(path)):
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return any(PurePosixPath(name).name == "data.pkl" for name in archive.namelist())
