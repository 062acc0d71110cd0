"""`python -m convert distilled`: a released distilled set becomes one safetensors file."""

import dataclasses
import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from gift_jax.data.distilled import DistilledSet, load_distilled, save_new_distilled, told_by_file
from gift_jax.errors import GiftError
from gift_jax.readers import hub
from gift_jax.readers.source import directory

from .content import Content, Request, first_of_each_class
from .layouts import ENCODED, LAYOUTS, OPTIONS, open_source
from .methods import METHODS, release_of
from .pixels import make_pixels, space_of
from .shards import read_shards, told_by_shards

# Notes that are said when a set is written.
_CHOSEN = ("repetition", "split", "label_column", "depth", "iteration", "parts", "left out", "resized", "formation")


def convert_distilled(request: Request) -> DistilledSet:
    """Read a released set, keep the first images of each class (all of them by default) and write them."""
    source = hub.local(request.source, "set")
    if (told := told_by_file(source)) is not None:
        return _keep_part(str(source), told, lambda: load_distilled(source), request)
    layout, files = open_source(source)
    if layout == "parquet" and (told := told_by_shards(files)) is not None:
        return _keep_part(files.label, told, functools.partial(read_shards, files, told), request)
    space = space_of(source, layout, request.method, request.pixel_space)
    _check_options(source, layout, request)
    content = LAYOUTS[layout].read(files, request)
    order = release_of(request.method).orders.get(request.spec.name)
    if order and layout not in ENCODED:  # what a tensor's labels count
        notes = {"classes": "in the order of the authors' code", **content.notes}
        content = content._replace(class_names=tuple(order), notes=notes)
    dtype, kept, ipc = content.images.dtype, len(content.labels), (content.labels == 0).sum()
    content, space, normalisation = make_pixels(source, layout, space, content, request)
    provenance = {
        "source": hub.title(files.path),
        "layout": LAYOUTS[layout].title,
        "sha256": files.digest(),
        "subset": f"the first {ipc} of each class, {content.order}: {kept} of {content.total} images",
        "versions": f"gift-jax {importlib.metadata.version('gift-jax')}, torch {torch.__version__}",
        **{name: note for name, note in content.notes.items() if name != "formation"},
    }
    try:
        distilled = DistilledSet(
            images=content.images,
            labels=content.labels,
            soft_labels=content.soft_labels,
            pixel_space=space,
            dataset=request.spec.name,
            method=request.method,
            ipc=int((content.labels == 0).sum()),
            provenance=provenance,
            normalisation=normalisation,
            class_names=content.class_names,
            learning_rate=content.learning_rate,
            formation=request.factor or 1,
        )
    except GiftError as error:
        raise GiftError(f"{source}: {error}") from None
    _keep(request.out, distilled, f"{dtype} read")
    print(f"check     {_evidence(distilled, content, kept)}")
    return distilled


def open_distilled(path: Path) -> DistilledSet:
    """The set of a converted file, or of a directory that `convert push` wrote, also on the Hub."""
    path = hub.local(path, "set")
    if not path.is_dir():
        return load_distilled(path)
    files = directory(path)
    if (told := told_by_shards(files)) is None:
        raise GiftError(f"{path}: is not converted yet; run `python -m convert distilled` first, and give its file")
    return read_shards(files, told)


def _keep_part(label: str, told: Mapping[str, str], load: Callable[[], DistilledSet], request: Request) -> DistilledSet:
    """Write the first images of each class of a set that says everything of itself; options must not say otherwise."""
    method, dataset = told.get("method"), told.get("dataset")
    if (method, dataset) != (request.method, request.spec.name):
        raise GiftError(
            f"{label}: is the {method} set of {dataset}, not {request.method}'s of {request.spec.name}; "
            f"give --method {method} --dataset {dataset}"
        )
    for field in dataclasses.fields(request):
        told_by_set = field.name in OPTIONS | {"pixel_space", "mean", "first_label"}
        if told_by_set and getattr(request, field.name) != field.default:
            raise GiftError(f"{label}: says everything of itself; drop --{field.name.replace('_', '-')}")
    if request.ipc and request.ipc > int(told["ipc"]):
        raise GiftError(f"{label}: has {told['ipc']} images per class, but --ipc is {request.ipc}; lower it")
    whole = load()
    if request.ipc in (None, whole.ipc):
        return _keep(request.out, whole, "read exactly")
    rows = first_of_each_class(label, whole.labels, request)
    subset = f"the first {request.ipc} of each class: {len(rows)} of {len(whole.labels)} images"
    part = dataclasses.replace(
        whole,
        images=whole.images[rows],
        labels=whole.labels[rows],
        soft_labels=None if whole.soft_labels is None else whole.soft_labels[rows],
        ipc=request.ipc,
        provenance={**whole.provenance, "subset": subset},
    )
    return _keep(request.out, part, "read exactly")


def _keep(out: Path, own: DistilledSet, how: str) -> DistilledSet:
    """Write the set, unless it is there already. Raises: GiftError if something else is."""
    done = "written  " if save_new_distilled(out, own) else "exists   "
    print(f"{done} {out}: {len(own.labels)} {own.pixel_space} images, {own.images.shape[1]} pixels, {how}")
    return own


def _check_options(path: Path, layout: str, request: Request) -> None:
    title, allowed = LAYOUTS[layout].title, LAYOUTS[layout].options
    for name, value in vars(request).items():
        if value is not None and name in OPTIONS and name not in allowed:
            titles = " or ".join(other.title for other in LAYOUTS.values() if name in other.options)
            raise GiftError(f"{path}: --{name.replace('_', '-')} is for {titles}, and this is {title}; drop it")
    factors, method = release_of(request.method).factors, request.method
    if factors and request.factor is None and "factor" in allowed:
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


def _evidence(distilled: DistilledSet, content: Content, count: int) -> str:
    """A line to check a set by: its first class, the values of its pixels, what was left out and what was chosen."""
    images = distilled.images
    first = "" if content.first is None else f" ({content.first!r})"
    soft = "" if distilled.soft_labels is None else f", soft labels: {content.notes['labels']}"
    parts = (
        f"class 0{first}: {distilled.ipc} images, of {distilled.num_classes} classes{soft}",
        f"pixels {images.min():.4g} to {images.max():.4g}, mean {images.mean(dtype=np.float64):.4g}",
        f"{content.total - count} of {content.total} images left out",
        *(f"{name}: {content.notes[name]}" for name in _CHOSEN if name in content.notes),
    )
    return "; ".join(parts)
