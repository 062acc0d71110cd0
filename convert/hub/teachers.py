"""Teachers as repositories of the Hub: weights, config.json and a card."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from gift_jax.data.datasets import CONVNETS
from gift_jax.models import ModelSpec
from gift_jax.models.resnet_cifar import DEPTHS
from gift_jax.readers.hub import CONFIG
from gift_jax.runtime.files import sha256, write_text
from gift_jax.teachers.teacher import TeacherInfo, load_weights

from ..export import official_state
from ..families import find_family
from ..torch_file import save_state
from .card import Card
from .config import WEIGHTS, is_timms, make_config, written_form

_WEIGHTS, *_ = WEIGHTS
# Of networks that neither timm nor torchvision has.
OWNERS = {
    **{f"resnet{depth}": f"He et al.'s resnet{depth} for CIFAR, in the usual code" for depth in DEPTHS},
    "resnet_ap10": "IDC's ResNetAP-10",
}
_TIMM = """import timm

model = timm.create_model("hf-hub:{repo}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))"""
_PLAIN = """from huggingface_hub import hf_hub_download
from safetensors.torch import load_file

# Of {names}.
state = load_file(hf_hub_download("{repo}", "{weights}"))
# It takes (x / 255 - mean) / std, channels first, with mean = {mean} and std = {std}."""


def write_teacher(source: Path, directory: Path, repo: str) -> tuple[Card, str]:
    """Write weights and config.json into a directory that is there. Returns: its card, and what it is, in words."""
    info, params, batch_stats = load_weights(source)
    official, (name, spelling) = official_state(info, params, batch_stats), written_form(info.spec)
    head = f"{find_family(info.architecture).head(info.spec)}.weight"
    [classifier] = spelling.back({head: official[head]})
    save_state(directory / _WEIGHTS, spelling.back(official))
    config = make_config(info, classifier.removesuffix(".weight"))
    write_text(directory / CONFIG, json.dumps(config, indent=2) + "\n")
    count = sum(array.size for array in jax.tree.leaves(params))
    card = _card_of_teacher(info, config, repo, f"{count:,}", sha256(directory / _WEIGHTS))
    return card, f"{name} of {info.dataset}, {count:,} parameters, named as {_owner(info.spec)}"


def _owner(spec: ModelSpec) -> str:
    if is_timms(spec):
        return f"timm's {written_form(spec)[0]}"
    if spec.name in CONVNETS:
        return "the ConvNet of RDED's code"
    if spec.name in OWNERS:
        return OWNERS[spec.name]
    stem = ", with RDED's stem: a 3 x 3 conv1 and no maxpool" if spec.name.endswith("_modified") else ""
    return f"torchvision's {spec.name.removesuffix('_modified')}{stem}"


def _card_of_teacher(info: TeacherInfo, config: Mapping[str, Any], repo: str, count: str, digest: str) -> Card:
    name, own, timm = config["architecture"], config["pretrained_cfg"], is_timms(info.spec)
    checked = info.verification and f"largest difference {info.verification.max_relative:.1e} of the largest logit"
    mean, std = info.normalisation.mean, info.normalisation.std
    plain = _PLAIN.format(repo=repo, weights=_WEIGHTS, names=_owner(info.spec), mean=mean, std=std)
    command = f"python -m convert teacher hf://{repo} --out teachers/{repo.partition('/')[2]}"
    usual = f", as is usual for {info.dataset}" if info.preprocessing is None else ""
    return Card(
        f"{name} trained on {info.dataset}: a teacher for students of distilled datasets.",
        header={
            **({"library_name": "timm"} if timm else {}),
            "pipeline_tag": "image-classification",
            "tags": ["dataset-distillation", "knowledge-distillation", "gift_jax", *(["timm"] if timm else [])],
        },
        sheet={
            "Architecture": ", ".join([name, *(f"{option} {value}" for option, value in info.options.items())]),
            "Parameters": count,
            "Dataset": f"{info.dataset}, {info.num_classes} classes",
            "Input": f"{info.image_size} x {info.image_size} pixels, channels: {info.channels}",
            "Mean, standard deviation": f"{', '.join(map(str, mean))}; {', '.join(map(str, std))}",
            "Test images": f"crop_pct {own['crop_pct']:g}, {own['interpolation']}{usual}",
            "Weights": f"{_WEIGHTS}, SHA-256 {digest}",
        },
        provenance={
            "Source": info.source_file,
            "SHA-256 of the source": info.source_sha256,
            "Weights averaged in training": "yes" if info.ema else "no",
            **({"Logits beside PyTorch's": checked} if checked else {}),
            "Versions": ", ".join(f"{package} {version}" for package, version in sorted(info.versions.items())),
        },
        usage=[
            ("With gift_jax:", "bash", command),
            *([("With timm:", "python", _TIMM.format(repo=repo))] if timm else []),
            ("The weights in PyTorch:", "python", plain),
        ],
    )
