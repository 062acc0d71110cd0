"""Class folders of images: SRe2L, CDA, G-VBSM (`new000/`), RDED (`00000/`) and any ImageFolder tree."""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import PIL

from gift_jax.errors import GiftError
from gift_jax.readers.image_files import SUFFIXES
from gift_jax.readers.source import Source, openable
from gift_jax.readers.splits_and_pairs import split_of_image
from gift_jax.readers.trees import NO_FOLDER, by_class_folder, images_of_split

from . import data_pt
from .classes import order_classes
from .content import Content, Request, images_a_class
from .decode import LARGEST_FILE, Blob, decode, decoder_notes
from .subsets import check_subset


def read(source: Source, request: Request) -> Content:
    """Read the first ipc images of each class folder, in sorted order of their names, whatever the order on disk.

    Raises: GiftError if the folders are not the dataset's classes, or an image is damaged or of another size.
    Reference: torchvision's ImageFolder, which all official readers but RDED's build on.
    """
    by_folder, left_out = _without_copies(_images_by_folder(source, request), request.copies)
    check_subset(source.label, by_folder, request.spec)
    order, classes = order_classes(source.label, sorted(by_folder), request, "folder")
    ipc = _images_to_keep(source, by_folder, request)
    names = [name for folder in order for name in sorted(by_folder[folder])[:ipc]]
    rows = {name: row for row, name in enumerate(names)}
    wanted = (name for name in source.sizes if name in rows)  # in the order that is cheapest to read
    blobs = (Blob(rows[name], f"{source.label}: {name!r}", _content(source, name)) for name in wanted)
    decoded = decode(blobs, len(rows), request.spec.channels, request.image_size)
    labels = np.repeat(np.arange(len(order), dtype=np.int32), ipc)
    notes = {**classes, **decoder_notes(decoded, f"Pillow {PIL.__version__}"), **_split_note(names), **left_out}
    total = sum(map(len, by_folder.values()))
    return Content(decoded.images, labels, None, total, "in sorted order of file names", notes, order[0])


def _without_copies(
    by_folder: Mapping[str, list[str]], suffix: str | None
) -> tuple[Mapping[str, list[str]], dict[str, str]]:
    """Folders but those that are named as another one with a suffix, which authors' readers do not open; and a note."""
    copies = {name for name in by_folder if suffix and name.endswith(suffix) and name.removesuffix(suffix) in by_folder}
    if not copies:
        return by_folder, {}
    kept = {name: images for name, images in by_folder.items() if name not in copies}
    return kept, {"left out": f"{len(copies)} folders of images before optimisation (*{suffix})"}


def _split_note(names: Sequence[str]) -> dict[str, str]:
    split = split_of_image(names[0])
    return {"split": split} if split else {}


def _content(source: Source, name: str) -> Callable[[], bytes]:
    """Files on disk are read by the threads that decode them, an archive by one thread and in its order."""
    if source.on_disk(name):
        return functools.partial(source.read, name, LARGEST_FILE)
    return functools.partial(bytes, source.read(name, LARGEST_FILE))


def _images_by_folder(source: Source, request: Request) -> dict[str, list[str]]:
    images = [name for name in source.sizes if name.lower().endswith(SUFFIXES)]
    by_folder = by_class_folder(images_of_split(source.label, images, request.split))
    if NO_FOLDER in by_folder:
        others = openable(source, data_pt.SUFFIXES)
        hint = f", or the file {others[0]!r} itself" if others else ""
        problem = f"{by_folder[NO_FOLDER][0]!r} is in no class folder; give a folder that holds class folders{hint}"
        raise GiftError(f"{source.label}: {problem}")
    return by_folder


def _images_to_keep(source: Source, by_folder: Mapping[str, list[str]], request: Request) -> int:
    titles = [f"the class folder {folder!r}" for folder in by_folder]
    return images_a_class(source.label, titles, [len(names) for names in by_folder.values()], request)
