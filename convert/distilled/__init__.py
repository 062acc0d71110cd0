"""`python -m convert distilled`: a released distilled set becomes one safetensors file."""

import contextlib
import dataclasses
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch

from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.data.distilled import PIXEL_SPACES, DistilledSet, PixelSpace, load_distilled, save_distilled
from gift_jax.errors import GiftError
from gift_jax.sources import hub
from gift_jax.sources.source import Source, directory

from .content import Content, Request, first_of_each_class, raw_pixels
from .labels import SOFT_LABELS
from .layouts import ENCODED, LAYOUTS, METHODS, OPTIONS, open_source, release_of
from .shards import read_shards, told_by_shards

_CHOSEN = ("repetition", "split", "label_column", "depth")  # notes that are said when a set is written


def convert_distilled(
    source: Path,
    *,
    method: str,
    dataset: str,
    out: Path,
    ipc: int | None = None,
    pixel_space: str | None = None,
    normalisation: Normalisation | None = None,
    class_order: Path | None = None,
    soft_labels: str | None = None,
    repetition: int | None = None,
    split: str | None = None,
    label_column: str | None = None,
    first_label: int = 0,
) -> DistilledSet:
    """Read a released set, keep the first ipc images of each class (all of them by default) and write them.

    Args: source, a file or directory in one of `LAYOUTS`, also on the Hub; pixel_space, where the method's release does
    not tell; normalisation, the statistics of normalised pixels; the others as `Request` has them.
    Raises: GiftError if anything does not fit, or if it is not known what was done to the pixels or what labels are.
    """
    request = Request(
        get_dataset(dataset),
        ipc,
        method,
        class_order,
        soft_labels,
        repetition,
        split,
        label_column,
        first_label,
    )
    _check_numbers(request)
    source = hub.local(source, "set")
    with contextlib.ExitStack() as stack:
        layout, files = open_source(source, stack)
        if layout == "parquet" and (told := told_by_shards(files)) is not None:
            _check_told(files, told, request, pixel_space, normalisation)
            return _keep(out, _part_of(read_shards(files, told), files, request))
        space = _pixel_space(source, layout, method, pixel_space)
        _check_options(source, layout, request)
        content = LAYOUTS[layout].read(files, request)
        space = space or _raw_bytes(source, layout, method, content)
        provenance = _provenance(files, layout, content)
    distilled = _assemble(source, content, space, request, provenance, normalisation)
    save_distilled(out, distilled)
    images = distilled.images
    print(f"written   {out}: {len(images)} {space} images, {images.shape[1]} pixels, {content.images.dtype} read")
    print(f"check     {_evidence(distilled, content)}")
    return distilled


def open_distilled(path: Path) -> DistilledSet:
    """The set of a converted file, or of a directory that `convert push` wrote, also on the Hub.

    Raises: GiftError if it is neither, or damaged.
    """
    path = hub.local(path, "set")
    if not path.is_dir():
        return load_distilled(path)
    files = directory(path)
    if (told := told_by_shards(files)) is None:
        raise GiftError(
            f"{path}: is not converted yet; run `python -m convert distilled` first, and give what it wrote"
        )
    return read_shards(files, told)


def _check_told(
    files: Source, told: Mapping[str, str], request: Request, pixel_space: str | None, normalisation: object
) -> None:
    """Compare what is asked for with a set that says everything of itself. Raises: GiftError if they differ."""
    method, dataset = told.get("method"), told.get("dataset")
    if (method, dataset) != (request.method, request.spec.name):
        raise GiftError(
            f"{files.label}: is the {method} set of {dataset}, not {request.method}'s of {request.spec.name}; "
            f"give --method {method} --dataset {dataset}"
        )
    given = {"pixel_space": pixel_space, "mean": normalisation, "first_label": request.first_label or None}
    given |= {name: getattr(request, name) for name in OPTIONS}
    if option := next((name for name, value in given.items() if value is not None), None):
        raise GiftError(f"{files.label}: says everything of itself; drop --{option.replace('_', '-')}")
    if request.ipc and request.ipc > int(told["ipc"]):
        raise GiftError(f"{files.label}: has {told['ipc']} images per class, but --ipc is {request.ipc}; lower it")


def _part_of(own: DistilledSet, files: Source, request: Request) -> DistilledSet:
    """The first images of each class, as many as are asked for. Raises: GiftError if there are fewer."""
    if request.ipc in (None, own.ipc):
        return own
    rows = first_of_each_class(files.label, own.labels, request)
    subset = f"the first {request.ipc} of each class: {len(rows)} of {len(own.labels)} images"
    return dataclasses.replace(
        own,
        images=own.images[rows],
        labels=own.labels[rows],
        soft_labels=None if own.soft_labels is None else own.soft_labels[rows],
        ipc=request.ipc,
        provenance={**own.provenance, "subset": subset},
    )


def _keep(out: Path, own: DistilledSet) -> DistilledSet:
    save_distilled(out, own)
    print(f"written   {out}: {len(own.labels)} {own.pixel_space} images, {own.images.shape[1]} pixels, read exactly")
    return own


def _check_numbers(request: Request) -> None:
    if request.ipc is not None and request.ipc < 1:
        raise GiftError(f"--ipc is {request.ipc}, expected 1 or more")
    if request.first_label not in (0, 1):
        raise GiftError(f"--first-label is {request.first_label}, expected 0 or 1")
    if request.soft_labels not in (None, *SOFT_LABELS):
        raise GiftError(f"--soft-labels is {request.soft_labels}, expected {' or '.join(SOFT_LABELS)}")
    if request.class_order and request.first_label:
        raise GiftError("--class-order names each class, so that --first-label has no meaning; drop one of them")


def _check_options(path: Path, layout: str, request: Request) -> None:
    for name, layouts in OPTIONS.items():
        if getattr(request, name) is not None and layout not in layouts:
            option, titles = f"--{name.replace('_', '-')}", " or ".join(map(_title, layouts))
            raise GiftError(f"{path}: {option} is for {titles}, and this is {_title(layout)}; drop it")


def _evidence(distilled: DistilledSet, content: Content) -> str:
    """A line to check a set by: its first class, the values of its pixels, what was left out and what was chosen."""
    images, count = distilled.images, len(distilled.labels)
    first = "" if content.first is None else f" ({content.first!r})"
    soft = "" if distilled.soft_labels is None else f", soft labels: {content.notes['labels']}"
    parts = (
        f"class 0{first}: {distilled.ipc} images, of {distilled.num_classes} classes{soft}",
        f"pixels {images.min():.4g} to {images.max():.4g}, mean {images.mean(dtype=np.float64):.4g}",
        f"{content.total - count} of {content.total} images left out",
        *(f"{name}: {content.notes[name]}" for name in _CHOSEN if name in content.notes),
    )
    return "; ".join(parts)


def _title(layout: str) -> str:
    return LAYOUTS[layout].title


def _pixel_space(path: Path, layout: str, method: str, told: str | None) -> PixelSpace | None:
    """What was done to the pixels, as an option or the method's release tells; None where neither does."""
    release = release_of(method)
    if layout not in release:
        known = " or ".join(_title(name) for name in release)
        raise GiftError(
            f"{path}: is {_title(layout)}, but --method {method} is released as {known}; give the right method"
        )
    if told not in (None, "raw") and layout in ENCODED:
        raise GiftError(
            f"{path}: is {_title(layout)}, whose 8-bit pixels are raw, but --pixel-space is {told}; drop it"
        )
    space = told or release[layout]
    if space not in (None, *PIXEL_SPACES):
        raise GiftError(f"--pixel-space is {space}, expected {' or '.join(PIXEL_SPACES)}")
    return cast(PixelSpace | None, space)


def _raw_bytes(path: Path, layout: str, method: str, content: Content) -> PixelSpace:
    """`raw` of 8-bit pixels, which nothing was done to. Raises: GiftError of floats, where it would be a guess."""
    if content.images.dtype != np.uint8:
        raise GiftError(
            f"{path}: --method {method} does not tell its pixel space for {_title(layout)} of floats; say "
            f"--pixel-space {'|'.join(PIXEL_SPACES)} (known by themselves: {', '.join(METHODS)})"
        )
    return "raw"


def _provenance(files: Source, layout: str, content: Content) -> dict[str, str]:
    kept = len(content.labels)
    ipc = (content.labels == 0).sum()
    return {
        "source": hub.title(files.path),
        "layout": _title(layout),
        "sha256": files.digest(),
        "subset": f"the first {ipc} of each class, {content.order}: {kept} of {content.total} images",
        "versions": f"gift-jax {importlib.metadata.version('gift-jax')}, torch {torch.__version__}",
        **content.notes,
    }


def _assemble(
    source: Path,
    content: Content,
    space: PixelSpace,
    request: Request,
    provenance: dict[str, str],
    normalisation: Normalisation | None,
) -> DistilledSet:
    images, values = raw_pixels(content.images) if space == "raw" else (content.images, "floats")
    try:
        return DistilledSet(
            images=images,
            labels=content.labels,
            soft_labels=content.soft_labels,
            pixel_space=space,
            dataset=request.spec.name,
            method=request.method,
            ipc=int((content.labels == 0).sum()),
            provenance={**provenance, "values": values},
            normalisation=normalisation,
        )
    except GiftError as error:
        raise GiftError(f"{source}: {error}") from None
