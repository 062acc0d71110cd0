"""Distilled sets as repositories of the Hub: Parquet shards and a card."""

from pathlib import Path

import numpy as np

from gift_jax.data.distilled import DistilledSet, load_distilled, to_parts
from gift_jax.runtime.files import os_errors_as_gift_error

from ..distilled.shards import PIXELS, write_shards
from .card import Card

FOLDER = "data"
_IMPORTS = "import numpy as np\nimport torch\nfrom datasets import load_dataset\n\n"
_BYTES = """data = load_dataset("{repo}", split="train")
images = torch.from_numpy(np.stack([*data["image"]])).reshape(-1, {shape})  # uint8 [N, H, W, C]
labels = torch.tensor([*data["label"]])"""
_FLOATS = """data = load_dataset("{repo}", split="train").with_format("numpy")
images = torch.from_numpy(np.stack([*data["pixels"]])).reshape(-1, {shape})  # float32 [N, H, W, C], {space}
labels = torch.tensor([*data["label"]])  # `preview` shows the images with 8 bits: do not train on it"""


def write_set(source: Path, directory: Path, repo: str) -> tuple[Card, str]:
    """Write the shards of a set into a directory that is there. Returns: its card, and what it is, in words."""
    distilled = load_distilled(source)
    with os_errors_as_gift_error(directory):
        (directory / FOLDER).mkdir()
    shards = write_shards(directory / FOLDER, distilled)
    summary = f"{len(distilled.labels)} {distilled.pixel_space} images, {shards} shard{'s' * (shards != 1)}"
    return _card_of_set(distilled, repo), summary


def _card_of_set(distilled: DistilledSet, repo: str) -> Card:
    images, count = distilled.images, len(distilled.labels)
    counts = np.bincount(distilled.labels, minlength=distilled.num_classes)
    each = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    height, width, channels = distilled.image_shape
    exact = "PNG in `image`" if images.dtype == np.uint8 else f"float32 in `{PIXELS}`; `preview` is for the eye alone"
    method, dataset, statistics = distilled.method, distilled.dataset, distilled.normalisation
    example = _IMPORTS + (_BYTES if images.dtype == np.uint8 else _FLOATS)
    shape = f"{height}, {width}, {channels}"
    name = repo.partition("/")[2]
    command = f"python -m convert distilled hf://{repo} --method {method} --dataset {dataset} --out {name}.safetensors"
    return Card(
        f"{dataset}, distilled by {method} to {count:,} images.",
        header={
            "task_categories": ["image-classification"],
            "tags": ["dataset-distillation", "gift_jax"],
            "configs": [
                {"config_name": "default", "data_files": [{"split": "train", "path": f"{FOLDER}/train-*.parquet"}]}
            ],
        },
        sheet={
            "Method": method,
            "Distilled dataset": dataset,
            "Images": f"{count:,}: {each} of each of {distilled.num_classes} classes",
            **({} if distilled.classes is None else {"Classes of the dataset": ", ".join(map(str, distilled.classes))}),
            "Size": f"{height} x {width} pixels, channels: {channels}",
            "Pixels": f"{distilled.pixel_space}, {exact}",
            **({"Normalised by": f"mean {statistics.mean}, standard deviation {statistics.std}"} if statistics else {}),
            "Soft labels": "none" if distilled.soft_labels is None else "logits, float32 in `soft_labels`",
            "Digest": f"SHA-256 {to_parts(distilled).digest} of images, labels and metadata, as gift_jax checks it",
        },
        provenance=distilled.provenance or {"Source": "not recorded"},
        usage=[
            ("With gift_jax, which checks the digest:", "bash", command),
            ("In PyTorch:", "python", example.format(repo=repo, shape=shape, space=distilled.pixel_space)),
        ],
    )
