"""`python -m convert distilled`: a released distilled set becomes one safetensors file."""

import contextlib
import importlib.metadata
from pathlib import Path
from typing import cast

import torch

from gift_jax.data.datasets import get_dataset
from gift_jax.data.distilled import PIXEL_SPACES, DistilledSet, PixelSpace, save_distilled
from gift_jax.errors import GiftError

from .content import Content, Request, as_bytes
from .layouts import ENCODED, LAYOUTS, METHODS, open_source, release_of
from .source import Source


def convert_distilled(
    source: Path,
    *,
    method: str,
    dataset: str,
    ipc: int,
    out: Path,
    pixel_space: str | None = None,
    class_order: Path | None = None,
) -> DistilledSet:
    """Read a released set, keep the first ipc images of each class and write them with their provenance.

    Args: source, a file or directory in one of `LAYOUTS`; pixel_space, where the method's release does not tell;
    class_order, a text file of folder names by class id, for class folders of images.
    Raises: GiftError if anything does not fit, or if it is not known what was done to the pixels.
    """
    request = Request(get_dataset(dataset), ipc, class_order)
    if ipc < 1:
        raise GiftError(f"--ipc is {ipc}, expected 1 or more")
    with contextlib.ExitStack() as stack:
        layout, files = open_source(source, stack)
        space = _pixel_space(source, layout, method, pixel_space)
        if class_order and layout != "images":
            raise GiftError(f"{source}: --class-order is for class folders of images, and this is {_title(layout)}")
        content = LAYOUTS[layout].read(files, request)
        provenance = _provenance(files, layout, content, request)
    distilled = _assemble(source, content, space, request, method, provenance)
    save_distilled(out, distilled)
    images = distilled.images
    print(f"written   {out}: {len(images)} {space} images, {images.shape[1]} pixels, {content.images.dtype} read")
    return distilled


def _title(layout: str) -> str:
    return LAYOUTS[layout].title


def _pixel_space(path: Path, layout: str, method: str, told: str | None) -> PixelSpace:
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
    if space not in PIXEL_SPACES:
        raise GiftError(
            f"{path}: --method {method} does not tell its pixel space for {_title(layout)}; say --pixel-space "
            f"{'|'.join(PIXEL_SPACES)} (known by themselves: {', '.join(METHODS)})"
        )
    return cast(PixelSpace, space)


def _provenance(files: Source, layout: str, content: Content, request: Request) -> dict[str, str]:
    kept = len(content.labels)
    return {
        "source": files.path.resolve().name,
        "layout": _title(layout),
        "sha256": files.digest(),
        "subset": f"the first {request.ipc} of each class, {content.order}: {kept} of {content.total} images",
        "versions": f"gift-jax {importlib.metadata.version('gift-jax')}, torch {torch.__version__}",
        **content.notes,
    }


def _assemble(
    source: Path, content: Content, space: PixelSpace, request: Request, method: str, provenance: dict[str, str]
) -> DistilledSet:
    try:
        return DistilledSet(
            images=as_bytes(content.images) if space == "raw" else content.images,
            labels=content.labels,
            soft_labels=content.soft_labels,
            pixel_space=space,
            dataset=request.spec.name,
            method=method,
            ipc=request.ipc,
            provenance=provenance,
        )
    except GiftError as error:
        raise GiftError(f"{source}: {error}") from None
