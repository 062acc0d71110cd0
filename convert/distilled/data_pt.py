"""Torch files of images and labels: the official `data.pt`, and what other methods' code saves."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source
from gift_jax.readers.splits_and_pairs import choose_pair

from ..request import Request
from ..torch_file import describe, load_object, load_stream
from .content import FIRST, Content, content_of_pair

NAME = "data.pt"
_PHASE = re.compile(rf"_phase[0-9]+/{re.escape(NAME)}$")  # of sets that were distilled some classes at a time
SUFFIXES = (".pt", ".pth", ".safetensors")  # of files that may be a set by themselves
LARGEST = 8 << 30  # bytes of a torch file inside an archive; larger ones are read from disk, where they are mapped
_EXPECTED = (
    "expected [images, labels], a dictionary of both, or {'data': [[images, labels], ...]} of several repetitions"
)


def load_torch(source: Source, name: str) -> object:
    """What a torch file of a source holds: mapped from disk, or read whole out of an archive."""
    path = source.on_disk(name)
    return load_object(path) if path else load_stream(source.read(name, LARGEST), f"{source.label}: {name!r}")


def read(source: Source, request: Request) -> Content:
    """Read images, float or uint8 [N, C, H, W], and labels out of one torch file, or safetensors.

    Reference: the official `data.pt` is a dictionary of dataset (name), data and label. IDC and DREAM save [images,
    labels]; DC, DSA and DM save {"data": [[images, labels], ...]}, a pair for each repetition. IDC's ImageNet-100 lies
    in five folders, each with twenty classes, which `load_data_path` of its `test.py` joins.
    """
    names = sorted(name for name in source.sizes if PurePosixPath(name).name == NAME)
    phases = len(names) > 1 and all(map(_PHASE.search, names))
    parts = [_tensors(source, name, request) for name in (names if phases else [source.find(NAME)])]
    images, labels, notes = parts[0] if len(parts) == 1 else _joined(source, parts)
    content = from_tensors(source.label, images, labels, request)
    return content._replace(notes={**content.notes, **notes})


class _Tensors(NamedTuple):
    images: torch.Tensor
    labels: torch.Tensor
    notes: dict[str, str]


def _joined(source: Source, parts: Sequence[_Tensors]) -> _Tensors:
    """Files of different classes, one after another. Raises: GiftError if they are sets of their own."""
    kinds = {(part.images.shape[1:], part.images.dtype, part.labels.dtype) for part in parts}
    fitting = all(part.labels.ndim == 1 and part.images.shape[:1] == part.labels.shape for part in parts)
    classes = [set(part.labels.tolist()) for part in parts if fitting]
    if not fitting or len(kinds) > 1 or len(set().union(*classes)) < sum(map(len, classes)):
        source.find(NAME)  # refuses, as there are several
    images, labels = torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    return _Tensors(images, labels, {**parts[0].notes, "parts": f"{len(parts)} files of different classes, joined"})


def _tensors(source: Source, name: str, request: Request) -> _Tensors:
    label, dataset = source.label, request.spec.name
    content = load_torch(source, name)
    told = content.get("dataset", dataset) if isinstance(content, Mapping) else dataset
    if isinstance(told, str) and told != dataset:
        raise GiftError(f"{label}: is of {told!r}, but --dataset is {dataset}; give the right one")
    pair, notes = _pair(label, content, request)
    images, labels = (torch.as_tensor(value) if _is_numbers(value) else value for value in pair)
    if not all(map(_has_values, (images, labels))):
        raise GiftError(f"{label}: its images and labels must be tensors, found {describe(pair)}; write the file again")
    return _Tensors(images, labels, notes)


def _pair(label: str, content: object, request: Request) -> tuple[Sequence[Any], dict[str, str]]:
    repetitions = content.get("data") if isinstance(content, Mapping) else content
    if isinstance(repetitions, list | tuple) and repetitions and all(map(_is_pair, repetitions)):
        number, count = request.repetition or 1, len(repetitions)
        if number > count:
            raise GiftError(f"{label}: holds {count} repetitions, but --repetition is {number}; give 1 to {count}")
        return repetitions[number - 1], {"repetition": f"{number} of {count}"}
    if request.repetition is not None:
        raise GiftError(f"{label}: holds one set, not several repetitions; drop --repetition")
    if _is_pair(content):
        return content, {}  # pyright: ignore[reportReturnType]
    if not isinstance(content, Mapping):
        raise GiftError(f"{label}: holds {describe(content)}; {_EXPECTED}")
    if strangers := [name for name in content if not isinstance(name, str)]:
        raise GiftError(f"{label}: holds a dictionary with the key {strangers[0]!r}; {_EXPECTED}")
    images, labels = choose_pair(label, content, request.for_readers())[:2]
    return (content[images], content[labels]), {"arrays": f"{images} and {labels}"}


def _is_pair(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return isinstance(value[0], torch.Tensor) and (isinstance(value[1], torch.Tensor) or _is_numbers(value[1]))


def _is_numbers(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(type(entry) is int and abs(entry) < 2**31 for entry in value)
    )


def _has_values(value: object) -> bool:
    """Whether something is a tensor, not sparse, and not a shape alone."""
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and value.device.type == "cpu"


def from_tensors(label: str, images: torch.Tensor, labels: torch.Tensor, request: Request) -> Content:
    """Keep the first images of each class from images, [N, C, H, W] as a rule, and labels as `read_labels` has them."""
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise GiftError(f"{label}: its images are {images.dtype}, expected uint8 or floats; save them as one of them")
    shape, take = tuple(images.shape), lambda kept: _numpy(images.detach()[torch.from_numpy(kept)])
    return content_of_pair(label, shape, _numpy(labels), request, take, "in the file's order", usual=FIRST)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # numpy has no bfloat16
