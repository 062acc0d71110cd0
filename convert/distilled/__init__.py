"""`python -m convert distilled`: a released distilled set becomes one safetensors file."""

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from gift_jax.data.distilled import DistilledSet, load_distilled, save_new_distilled, told_by_file
from gift_jax.errors import GiftError
from gift_jax.readers import hub
from gift_jax.readers.source import Source, directory

from .content import Content, Request, first_of_each_class
from .layouts import ENCODED, LAYOUTS, OPTIONS, open_source
from .methods import METHODS, release_of
from .pixels import Pixels, make_pixels, space_of
from .shards import read_shards, told_by_shards

# Notes that are said when a set is written.
_CHOSEN = ("repetition", "split", "label_column", "depth", "iteration", "parts", "left out", "resized", "formation")


def convert_distilled(request: Request) -> DistilledSet:
    """Read a released set, keep the first images of each class (all of them by default) and write them."""
    out = request.out
    source = hub.local(request.source, "set")
    if (told := told_by_file(source)) is not None:
        _check_told(str(source), told, request)
        return _keep(out, _part_of(load_distilled(source), str(source), request), "read exactly")
    layout, files = open_source(source)
    if layout == "parquet" and (told := told_by_shards(files)) is not None:
        _check_told(files.label, told, request)
        return _keep(out, _part_of(read_shards(files, told), files.label, request), "read exactly")
    space_of(source, layout, request.method, request.pixel_space)  # refuses before anything is read
    _check_options(source, layout, request)
    _check_factor(source, layout, request)
    content = _with_class_names(LAYOUTS[layout].read(files, request), layout, request)
    pixels = make_pixels(source, layout, content, request)
    content = content._replace(notes={**content.notes, **pixels.notes})
    provenance = _provenance(files, layout, content)
    distilled = _assemble(source, content, pixels, request, provenance)
    _keep(out, distilled, f"{content.images.dtype} read")
    print(f"check     {_evidence(distilled, content)}")
    return distilled


def open_distilled(path: Path) -> DistilledSet:
    """The set of a converted file, or of a directory that `convert push` wrote, also on the Hub."""
    path = hub.local(path, "set")
    if not path.is_dir():
        return load_distilled(path)
    files = directory(path)
    if (told := told_by_shards(files)) is None:
        raise GiftError(
            f"{path}: is not converted yet; run `python -m convert distilled` first, and give what it wrote"
        )
    return read_shards(files, told)


def _check_told(label: str, told: Mapping[str, str], request: Request) -> None:
    """Compare what is asked for with a set that says everything of itself. Raises: GiftError if they differ."""
    method, dataset = told.get("method"), told.get("dataset")
    if (method, dataset) != (request.method, request.spec.name):
        raise GiftError(
            f"{label}: is the {method} set of {dataset}, not {request.method}'s of {request.spec.name}; "
            f"give --method {method} --dataset {dataset}"
        )
    given = {name: getattr(request, name) for name in ("pixel_space", "mean")}
    given["first_label"] = request.first_label or None
    given |= {name: getattr(request, name) for name in OPTIONS}
    if option := next((name for name, value in given.items() if value is not None), None):
        raise GiftError(f"{label}: says everything of itself; drop --{option.replace('_', '-')}")
    if request.ipc and request.ipc > int(told["ipc"]):
        raise GiftError(f"{label}: has {told['ipc']} images per class, but --ipc is {request.ipc}; lower it")


def _part_of(own: DistilledSet, label: str, request: Request) -> DistilledSet:
    """The first images of each class, as many as are asked for. Raises: GiftError if there are fewer."""
    if request.ipc in (None, own.ipc):
        return own
    rows = first_of_each_class(label, own.labels, request)
    subset = f"the first {request.ipc} of each class: {len(rows)} of {len(own.labels)} images"
    return dataclasses.replace(
        own,
        images=own.images[rows],
        labels=own.labels[rows],
        soft_labels=None if own.soft_labels is None else own.soft_labels[rows],
        ipc=request.ipc,
        provenance={**own.provenance, "subset": subset},
    )


def _keep(out: Path, own: DistilledSet, how: str) -> DistilledSet:
    """Write the set, unless it is there already. Raises: GiftError if something else is."""
    done = "written  " if save_new_distilled(out, own) else "is there "
    print(f"{done} {out}: {len(own.labels)} {own.pixel_space} images, {own.images.shape[1]} pixels, {how}")
    return own


def _check_options(path: Path, layout: str, request: Request) -> None:
    for name, layouts in OPTIONS.items():
        if getattr(request, name) is not None and layout not in layouts:
            option, titles = f"--{name.replace('_', '-')}", " or ".join(map(_title, layouts))
            raise GiftError(f"{path}: {option} is for {titles}, and this is {_title(layout)}; drop it")


def _check_factor(path: Path, layout: str, request: Request) -> None:
    factors, method = release_of(request.method).factors, request.method
    if factors and request.factor is None and layout in OPTIONS["factor"]:
        raise GiftError(
            f"{path}: an image of --method {method} may hold several smaller ones, and the file does not say how many; "
            f"say --factor, 1 if it holds one ({factors})"
        )
    if method in METHODS and not factors and request.factor not in (None, 1):
        packed = ", ".join(name for name, release in METHODS.items() if release.factors)
        raise GiftError(
            f"{path}: --factor is {request.factor}, for images that hold several ({packed}), and --method {method}'s "
            "are trained on as they are stored; drop it"
        )


def _with_class_names(content: Content, layout: str, request: Request) -> Content:
    """With the names of the classes that a tensor's labels count, as the method's code has them."""
    order = release_of(request.method).orders.get(request.spec.name)
    if not order or layout in ENCODED:
        return content
    notes = {"classes": "in the order of the authors' code", **content.notes}
    return content._replace(class_names=tuple(order), notes=notes)


def _evidence(distilled: DistilledSet, content: Content) -> str:
    """A line to check a set by: its first class, the values of its pixels, what was left out and what was chosen."""
    images, count = distilled.images, len(content.labels)
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


def _provenance(files: Source, layout: str, content: Content) -> dict[str, str]:
    kept = len(content.labels)
    ipc = (content.labels == 0).sum()
    return {
        "source": hub.title(files.path),
        "layout": _title(layout),
        "sha256": files.digest(),
        "subset": f"the first {ipc} of each class, {content.order}: {kept} of {content.total} images",
        "versions": f"gift-jax {importlib.metadata.version('gift-jax')}, torch {torch.__version__}",
        **{name: note for name, note in content.notes.items() if name != "formation"},
    }


def _assemble(
    source: Path, content: Content, pixels: Pixels, request: Request, provenance: dict[str, str]
) -> DistilledSet:
    labels = content.labels[pixels.rows]
    try:
        return DistilledSet(
            images=pixels.images,
            labels=labels,
            soft_labels=None if content.soft_labels is None else content.soft_labels[pixels.rows],
            pixel_space=pixels.space,
            dataset=request.spec.name,
            method=request.method,
            ipc=int((labels == 0).sum()),
            provenance=provenance,
            normalisation=pixels.normalisation,
            class_names=content.class_names,
            learning_rate=content.learning_rate,
            formation=request.factor or 1,
        )
    except GiftError as error:
        raise GiftError(f"{source}: {error}") from None
