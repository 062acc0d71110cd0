"""The ConvNet: RDED's key names, DC/MTT/DATM's, and the PyTorch module itself as the oracle."""

import re

import torch
from torch import nn

from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec
from gift_jax.models.convnet import feature_side, first_padding

from ..rules import CHW, CONV, SAME, Rule, flattened
from .base import OTHER_MODEL, Family, Options, compare
from .spelling import Spelling, State

DEFAULTS: Options = {"width": 128, "norm": "batch"}


def _rules(spec: ModelSpec) -> tuple[Rule, ...]:
    options = {**DEFAULTS, **dict(spec.options)}
    affine = CHW if options["norm"] == "layer" else SAME
    return (
        Rule("layers.conv.{i}.weight", "blocks/{i}/conv/kernel", CONV),
        Rule("layers.conv.{i}.bias", "blocks/{i}/conv/bias"),
        Rule("layers.norm.{i}.weight", "blocks/{i}/norm/scale", affine),
        Rule("layers.norm.{i}.bias", "blocks/{i}/norm/bias", affine),
        Rule("layers.norm.{i}.running_mean", "blocks/{i}/norm/mean", group="batch_stats"),
        Rule("layers.norm.{i}.running_var", "blocks/{i}/norm/var", group="batch_stats"),
        Rule("classifier.weight", "classifier/kernel", flattened(int(options["width"]))),
        Rule("classifier.bias", "classifier/bias"),
    )


def _sequential_names(state: State) -> dict[str, str]:
    """How names begin in DC/MTT/DATM's one Sequential (conv, norm, ReLU, pool or conv, ReLU, pool), and officially."""
    matches = (re.fullmatch(r"features\.(\d+)\.weight", name) for name in state)
    weights = {int(match[1]): state[match[0]] for match in matches if match}
    convs = sorted(number for number, weight in weights.items() if weight.ndim == 4)
    stride = convs[1] - convs[0] if len(convs) > 1 else 4
    parts = {0: "conv", 1: "norm"}
    return {f"features.{n}.": f"layers.{parts[n % stride]}.{n // stride}." for n in weights if n % stride in parts}


def _read_options(where: str, spec: ModelSpec, state: State) -> Options:
    depth = len([name for name in state if re.fullmatch(r"layers\.conv\.\d+\.weight", name)])
    compare(where, f"conv{depth}", spec.name, OTHER_MODEL)
    width = len(state["layers.conv.0.weight"])
    inputs = width * feature_side(depth, spec.channels, spec.image_size) ** 2
    features = f"its classifier reads {{0}} features, but {spec.image_size} pixels give {{1}}; check --image-size"
    compare(where, state["classifier.weight"].shape[1], inputs, features)
    return {"width": width, "norm": agreed_norm(where, dict(spec.options).get("norm"), _told_norm(state))}


def agreed_norm(where: str, asked: object, told: str | None) -> str:
    """The norm that the weights tell, or the one asked for where they do not: instance and group hold the same."""
    if told is None and asked is None:
        raise GiftError(
            f"{where}: its norms keep no running statistics, which leaves open what they were; give --norm instance, "
            f"as DC's networks have, or --norm group; of BatchNorm save `model.state_dict()`, not named_parameters()"
        )
    if told is not None and asked is not None and asked != told:
        raise GiftError(f"{where}: its weights are those of --norm {told}, not {asked}; leave out --norm")
    return told or str(asked)


def _told_norm(state: State) -> str | None:
    scale = state.get("layers.norm.0.weight")
    if scale is None:
        return "none"
    if "layers.norm.0.running_mean" in state:
        return "batch"
    return "layer" if scale.ndim == 3 else None


def torch_norm(norm: str, channels: int, side: int = 0) -> nn.Module:
    """The norm of that name; side, of the feature map in pixels, is for a LayerNorm."""
    factories = {
        "batch": lambda: nn.BatchNorm2d(channels),
        "instance": lambda: nn.GroupNorm(channels, channels),
        "group": lambda: nn.GroupNorm(4, channels),
        "layer": lambda: nn.LayerNorm([channels, side, side]),
        "none": lambda: nn.Identity(),
    }
    return factories[norm]()


class Reference(nn.Module):
    """The same network in PyTorch, with the official names: what converted weights are verified against."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        options = {**DEFAULTS, **dict(spec.options)}
        width, norm = int(options["width"]), str(options["norm"])
        depth, channels, size = int(spec.name.removeprefix("conv")), spec.channels, spec.image_size
        paddings = [first_padding(channels, size)] + [1] * (depth - 1)
        inputs = [channels] + [width] * (depth - 1)
        sides = [feature_side(index, channels, size) for index in range(depth)]
        self.layers = nn.ModuleDict(
            {
                "conv": nn.ModuleList(nn.Conv2d(i, width, 3, padding=p) for i, p in zip(inputs, paddings, strict=True)),
                "norm": nn.ModuleList(torch_norm(norm, width, side) for side in sides),
            }
        )
        self.classifier = nn.Linear(width * feature_side(depth, channels, size) ** 2, spec.num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        for convolution, norm in zip(self.layers["conv"], self.layers["norm"], strict=True):  # pyright: ignore
            images = nn.functional.avg_pool2d(torch.relu(norm(convolution(images))), 2)
        return self.classifier(images.flatten(1))


FAMILY = Family(
    _rules,
    reference=Reference,
    spellings=(Spelling(_sequential_names),),
    read_options=_read_options,
    defaults=DEFAULTS,
)
