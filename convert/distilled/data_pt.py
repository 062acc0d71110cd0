"""The official `data.pt`."""

import torch

from gift_jax.errors import GiftError

from ..torch_file import load_object, load_stream
from .content import Content, Request, first_of_each_class, split_labels
from .source import Source

NAME = "data.pt"
LARGEST = 8 << 30  # bytes of a torch file inside an archive; larger ones are read from disk, where they are mapped


def load_torch(source: Source, name: str) -> object:
    """What a torch file of a source holds: mapped from disk, or read whole out of an archive."""
    path = source.on_disk(name)
    return load_object(path) if path else load_stream(source.read(name, LARGEST), f"{source.label}: {name!r}")


def read(source: Source, request: Request) -> Content:
    """Read the official `data.pt`: a dictionary of dataset (name), data (float [N, C, H, W]) and label.

    Raises: GiftError if it holds something else, or another dataset.
    """
    label, dataset = source.label, request.spec.name
    content = load_torch(source, source.find(NAME))
    if not isinstance(content, dict) or not {"data", "label"} <= content.keys():
        raise GiftError(f"{label}: not the official data.pt, a dictionary of dataset, data and label; check the path")
    images, labels = content["data"], content["label"]
    if not all(isinstance(value, torch.Tensor) for value in (images, labels)) or images.ndim != 4:
        raise GiftError(f"{label}: data must be a tensor [N, C, H, W] and label a tensor; write the file again")
    if content.get("dataset", dataset) != dataset:
        raise GiftError(f"{label}: is of {content['dataset']!r}, but --dataset is {dataset}; give the right one")
    return from_tensors(label, images, labels, request)


def from_tensors(label: str, images: torch.Tensor, labels: torch.Tensor, request: Request) -> Content:
    """Keep the first images of each class from images [N, C, H, W] and labels, ids [N] or logits [N, classes]."""
    plain = labels.detach().float() if labels.is_floating_point() else labels  # numpy has no bfloat16
    ids, soft_labels = split_labels(label, plain.numpy(), request.spec)
    if len(ids) != len(images):
        raise GiftError(f"{label}: has {len(images)} images, but {len(ids)} labels; take both from one release")
    kept = first_of_each_class(label, ids, request)
    pixels = images.detach()[torch.from_numpy(kept)].float().numpy().transpose(0, 2, 3, 1)
    soft_labels = None if soft_labels is None else soft_labels[kept]
    return Content(pixels, ids[kept], soft_labels, len(ids), "in the file's order")
