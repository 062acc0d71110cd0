"""`python -m convert distilled`: a released distilled set becomes one safetensors file."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, cast

import numpy as np
import torch

from convert.torch_file import load_object
from gift_jax.data.datasets import DatasetSpec, get_dataset
from gift_jax.data.distilled import PIXEL_SPACES, DistilledSet, PixelSpace, save_distilled
from gift_jax.errors import GiftError
from gift_jax.files import sha256

# What each method's release does to its pixels. DATM's may be whitened or not, so that it is not here.
PIXEL_SPACE_OF: Mapping[str, PixelSpace] = MappingProxyType(
    {"sre2l": "raw", "rded": "raw", "cda": "raw", "gvbsm": "raw", "random": "raw"}
)


class Content(NamedTuple):
    """What a reader finds: images float32 [N, H, W, C], labels int [N] or logits float32 [N, classes]."""

    images: np.ndarray
    labels: np.ndarray


def read_data_pt(path: Path, dataset: str) -> Content:
    """Read the official `data.pt`: a dictionary of dataset (name), data (float [N, C, H, W]) and label.

    Raises: GiftError if it holds something else, or another dataset.
    """
    content = load_object(path)
    if not isinstance(content, dict) or not {"data", "label"} <= content.keys():
        raise GiftError(f"{path}: not the official data.pt, a dictionary of dataset, data and label; check the path")
    images, labels = content["data"], content["label"]
    if not all(isinstance(value, torch.Tensor) for value in (images, labels)) or images.ndim != 4:
        raise GiftError(f"{path}: data must be a tensor [N, C, H, W] and label a tensor; write the file again")
    if content.get("dataset", dataset) != dataset:
        raise GiftError(f"{path}: is of {content['dataset']!r}, but --dataset is {dataset}; give the right one")
    labels = labels.numpy()
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    return Content(images.float().numpy().transpose(0, 2, 3, 1), flat)


def split_labels(path: Path, labels: np.ndarray, spec: DatasetSpec) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn stored labels into class ids int32 [N] and, where they are logits, soft labels float32 [N, classes].

    Logits come class by class, so that the class of row r is r // (rows a class), not their argmax (DATM).
    """
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        return labels.astype(np.int32), None
    if labels.ndim != 2 or labels.shape[1] != spec.num_classes or len(labels) % spec.num_classes:
        raise GiftError(
            f"{path}: label is {labels.dtype}{list(labels.shape)}, expected class ids [N] or logits "
            f"[N, {spec.num_classes}] with as many rows for each class; check --dataset"
        )
    rows = len(labels) // spec.num_classes
    return np.repeat(np.arange(spec.num_classes, dtype=np.int32), rows), labels.astype(np.float32)


def first_of_each_class(path: Path, labels: np.ndarray, num_classes: int, ipc: int) -> np.ndarray:
    """Row numbers of the first ipc images of each class, in the file's order. Raises: GiftError if too few."""
    rows = [np.flatnonzero(labels == label)[:ipc] for label in range(num_classes)]
    short = next((label for label, found in enumerate(rows) if len(found) < ipc), None)
    if short is not None:
        raise GiftError(f"{path}: class {short} has {len(rows[short])} images, but --ipc is {ipc}; lower it")
    return np.sort(np.concatenate(rows))


def as_bytes(images: np.ndarray) -> np.ndarray:
    """uint8 pixels where the floats in [0, 1] are exactly whole 255ths, else the floats: a quarter of the memory."""
    levels = np.rint(images * 255)
    exact = images.min() >= 0 and images.max() <= 1 and (levels.astype(np.float32) / np.float32(255) == images).all()
    return levels.astype(np.uint8) if exact else images


def convert_distilled(
    source: Path, *, method: str, dataset: str, ipc: int, out: Path, pixel_space: str | None = None
) -> DistilledSet:
    """Read a released set, keep the first ipc images of each class and write them with their provenance.

    Raises: GiftError if anything does not fit, or if the method does not tell what was done to the pixels.
    """
    spec, space = get_dataset(dataset), pixel_space or PIXEL_SPACE_OF.get(method)
    if space not in PIXEL_SPACES:
        raise GiftError(f"--method {method} does not tell its pixel space; say --pixel-space {'|'.join(PIXEL_SPACES)}")
    content = read_data_pt(source, dataset)
    labels, soft_labels = split_labels(source, content.labels, spec)
    kept = first_of_each_class(source, labels, spec.num_classes, ipc)
    images = content.images[kept]
    provenance = {
        "source": source.name,
        "sha256": sha256(source),
        "subset": f"the first {ipc} of each class, in the file's order: {len(kept)} of {len(labels)} images",
        "versions": f"gift-jax {importlib.metadata.version('gift-jax')}, torch {torch.__version__}",
    }
    try:
        distilled = DistilledSet(
            images=as_bytes(images) if space == "raw" else images,
            labels=labels[kept],
            soft_labels=None if soft_labels is None else soft_labels[kept],
            pixel_space=cast(PixelSpace, space),
            dataset=dataset,
            method=method,
            ipc=ipc,
            provenance=provenance,
        )
    except GiftError as error:
        raise GiftError(f"{source}: {error}") from None
    save_distilled(out, distilled)
    print(f"written   {out}: {len(kept)} {space} images, {images.shape[1]} pixels, {images.dtype} read")
    return distilled
