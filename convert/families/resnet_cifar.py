"""The ResNets for CIFAR: the names that most published files have, and the PyTorch module itself as the oracle."""

import torch
from torch import nn
from torch.nn import functional

from gift_jax.models import ModelSpec
from gift_jax.models.resnet_cifar import WIDTHS, blocks_per_stage

from .base import OTHER_MODEL, Family, Options, compare
from .resnet import model_for_cifar, rules
from .spelling import Spelling, State

DEFAULTS: Options = {"shortcut": "padded"}
# Of code that keeps torchvision's names.
TORCHVISIONS = Spelling({"layer{s}.{b}.downsample.": "layer{s}.{b}.shortcut.", "fc.": "linear."})


def _read_options(where: str, spec: ModelSpec, state: State) -> Options:
    told = model_for_cifar(state) if len(state["conv1.weight"]) == WIDTHS[0] else spec.name
    compare(where, told, spec.name, OTHER_MODEL)
    shortcut = "projected" if any(".shortcut." in name for name in state) else "padded"
    return {**dict(spec.options), "shortcut": shortcut}


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return convolution


class Block(nn.Module):
    """A residual block that halves the image where it has more channels than its input."""

    def __init__(self, inputs: int, outputs: int, shortcut: str) -> None:
        super().__init__()
        self.widened = (outputs - inputs) // 2
        self.stride = 1 if inputs == outputs else 2
        self.conv1, self.bn1 = _convolution(inputs, outputs, 3, self.stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = _convolution(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.shortcut = None
        if shortcut == "projected" and inputs != outputs:
            self.shortcut = nn.Sequential(_convolution(inputs, outputs, 1, self.stride), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x [B, inputs, H, W]. Returns: [B, outputs, H / stride, W / stride]."""
        branch = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.shortcut is not None:
            return torch.relu(branch + self.shortcut(x))
        every = x[:, :, :: self.stride, :: self.stride]
        return torch.relu(branch + functional.pad(every, (0, 0, 0, 0, self.widened, self.widened)))


class Reference(nn.Module):
    """The same network in PyTorch: what converted weights are verified against."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        shortcut = str({**DEFAULTS, **dict(spec.options)}["shortcut"])
        blocks = blocks_per_stage(int(spec.name.removeprefix("resnet")))
        self.conv1, self.bn1 = _convolution(spec.channels, WIDTHS[0], 3), nn.BatchNorm2d(WIDTHS[0])
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(*(Block(width, outputs, shortcut) for width in (inputs, *[outputs] * (blocks - 1))))
            for inputs, outputs in zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False)
        )
        self.linear = nn.Linear(WIDTHS[-1], spec.num_classes)
        nn.init.kaiming_normal_(self.linear.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        x = torch.relu(self.bn1(self.conv1(images)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


FAMILY = Family(
    rules(shortcut="shortcut", head="linear"),
    reference=Reference,
    spellings=(TORCHVISIONS,),
    read_options=_read_options,
    defaults=DEFAULTS,
)
