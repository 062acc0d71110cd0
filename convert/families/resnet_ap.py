"""ResNetAP-10: the authors' names, and the PyTorch module itself as the oracle."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import nn

from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec
from gift_jax.models.resnet_ap import STRIDES, stem_shape

from ..rules import CONV, LINEAR, Rule, batch_norm
from .base import CHANNELS, Family, begins, check, classes
from .convnet import agreed_norm

DEFAULT_WIDTH, DEFAULT_NORM = 64, "instance"

# An instance norm has no running statistics, and the rules for them find nothing.
RULES = (
    Rule("layer0.conv1.weight", "stem/conv/kernel", CONV),
    *batch_norm("layer0.bn1", "stem/norm"),
    Rule("layer{s}.{b}.conv{c}.weight", "layer{s}/{b}/conv{c}/conv/kernel", CONV),
    *batch_norm("layer{s}.{b}.bn{c}", "layer{s}/{b}/conv{c}/norm"),
    Rule("layer{s}.{b}.downsample.0.weight", "layer{s}/{b}/downsample/conv/kernel", CONV),
    *batch_norm("layer{s}.{b}.downsample.2", "layer{s}/{b}/downsample/norm"),
    Rule("fc.weight", "fc/kernel", LINEAR),
    Rule("fc.bias", "fc/bias"),
)


def read_spec(where: str, spec: ModelSpec, state: Mapping[str, torch.Tensor]) -> ModelSpec:
    """Read width and norm off the weights; check stem, channels and classes against the request."""
    first, last = state.get("layer0.conv1.weight"), state.get("fc.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 2 or not len(first):
        raise GiftError(f"{where}: holds no {spec.name} (layer0.conv1.weight, fc.weight){begins(state)}; check --model")
    stem = f"its first convolution is {{0}} pixels wide, but {spec.image_size} pixels take {{1}}; check --image-size"
    check(
        where,
        (
            (first.shape[2], stem_shape(spec.image_size)[0], stem),
            (first.shape[1], spec.channels, CHANNELS),
            classes(last.shape[0], spec.num_classes),
        ),
    )
    told = "batch" if "layer0.bn1.running_mean" in state else None
    usual = None if told else DEFAULT_NORM
    norm = agreed_norm(where, dict(spec.options).get("norm", usual), told)
    options: dict[str, int | float | str] = {"norm": norm, "width": len(first)}
    defaults = {"norm": DEFAULT_NORM, "width": DEFAULT_WIDTH}
    stated = tuple(sorted((name, value) for name, value in options.items() if value != defaults[name]))
    return dataclasses.replace(spec, options=stated)


def _torch_norm(norm: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(channels, channels)


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution


class Stem(nn.Module):
    """Convolution, norm and ReLU, pooled by a window unless that is 1."""

    def __init__(self, channels: int, width: int, kernel: int, window: int, norm: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(channels, width, kernel), _torch_norm(norm, width)
        self.pool = nn.AvgPool2d(window)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Args: images [B, C, H, W]. Returns: [B, width, H // window, W // window]."""
        return self.pool(torch.relu(self.bn1(self.conv1(images))))


class Block(nn.Module):
    """A residual block whose branch and shortcut are pooled by the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(inputs, outputs, 3), _torch_norm(norm, outputs)
        self.conv2, self.bn2 = _convolution(outputs, outputs, 3), _torch_norm(norm, outputs)
        self.pool, self.downsample = nn.AvgPool2d(stride), None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                _convolution(inputs, outputs, 1), nn.AvgPool2d(stride), _torch_norm(norm, outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x [B, inputs, H, W]. Returns: [B, outputs, H // stride, W // stride]."""
        branch = self.bn2(self.conv2(self.pool(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(branch + (x if self.downsample is None else self.downsample(x)))


class Reference(nn.Module):
    """The same network in PyTorch, with the authors' names: what converted weights are verified against."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        options = dict(spec.options)
        width, norm = int(options.get("width", DEFAULT_WIDTH)), str(options.get("norm", DEFAULT_NORM))
        self.layer0 = Stem(spec.channels, width, *stem_shape(spec.image_size), norm)
        widths = [width, *(width * 2**index for index in range(4))]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(Block(widths[index], widths[index + 1], STRIDES[index], norm)) for index in range(4)
        )
        self.fc = nn.Linear(widths[-1], spec.num_classes)

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The outputs of the stem and of the four stages. Args: images [B, C, H, W]."""
        outputs = [self.layer0(images)]
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            outputs.append(stage(outputs[-1]))
        return outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        return self.fc(self.stages(images)[-1].mean((2, 3)))


FAMILY = Family((), read_spec, lambda spec: RULES, Reference, "fc")
