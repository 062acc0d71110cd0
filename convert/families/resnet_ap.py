"""ResNetAP-10: the authors' names, and the PyTorch module itself as the oracle."""

from collections import OrderedDict

import torch
from torch import nn

from gift_jax.models import ModelSpec
from gift_jax.models.resnet_ap import STRIDES, stem_shape

from .base import Family, Options, compare
from .convnet import agreed_norm, torch_norm
from .resnet import rules
from .spelling import State

DEFAULTS: Options = {"width": 64, "norm": "instance"}


def _read_options(where: str, spec: ModelSpec, state: State) -> Options:
    stem = f"its first convolution is {{0}} pixels wide, but {spec.image_size} pixels take {{1}}; check --image-size"
    compare(where, state["layer0.conv1.weight"].shape[2], stem_shape(spec.image_size)[0], stem)
    told = "batch" if "layer0.bn1.running_mean" in state else None
    usual = None if told else DEFAULTS["norm"]
    norm = agreed_norm(where, dict(spec.options).get("norm", usual), told)
    return {"norm": norm, "width": len(state["layer0.conv1.weight"])}


def _convolution(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return convolution


class Block(nn.Module):
    """A residual block whose branch and shortcut are pooled by the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = _convolution(inputs, outputs, 3), torch_norm(norm, outputs)
        self.conv2, self.bn2 = _convolution(outputs, outputs, 3), torch_norm(norm, outputs)
        self.pool, self.downsample = nn.AvgPool2d(stride), None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                _convolution(inputs, outputs, 1), nn.AvgPool2d(stride), torch_norm(norm, outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x [B, inputs, H, W]. Returns: [B, outputs, H // stride, W // stride]."""
        branch = self.bn2(self.conv2(self.pool(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(branch + (x if self.downsample is None else self.downsample(x)))


class Reference(nn.Module):
    """The same network in PyTorch, with the authors' names: what converted weights are verified against."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        options = {**DEFAULTS, **dict(spec.options)}
        width, norm = int(options["width"]), str(options["norm"])
        kernel, window = stem_shape(spec.image_size)
        stem = {"conv1": _convolution(spec.channels, width, kernel), "bn1": torch_norm(norm, width)}
        self.layer0 = nn.Sequential(OrderedDict(stem, relu=nn.ReLU(), pool=nn.AvgPool2d(window)))
        widths = [width, *(width * 2**index for index in range(4))]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(Block(widths[index], widths[index + 1], STRIDES[index], norm)) for index in range(4)
        )
        self.fc = nn.Linear(widths[-1], spec.num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        features = self.layer4(self.layer3(self.layer2(self.layer1(self.layer0(images)))))
        return self.fc(features.mean((2, 3)))


FAMILY = Family(
    rules(stem="layer0.", norm=2),  # those of running statistics find nothing where the norm has none
    reference=Reference,
    read_options=_read_options,
    defaults=DEFAULTS,
)
