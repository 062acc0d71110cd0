"""The networks of the baselines in plain PyTorch, so that they load neither JAX nor torchvision."""

import torch
from torch import nn
from torch.nn import functional as F

WIDTH = 128


def make_convnet(depth: int, classes: int, side: int, channels: int) -> nn.Module:
    """The ConvNet of dataset distillation with BatchNorm (RDED's), for images [B, channels, side, side].

    Grey images of 28 pixels are padded to 32 by the first convolution.
    """
    layers: list[nn.Module] = []
    first_padding = 3 if (channels, side) == (1, 28) else 1
    side += 2 * first_padding - 2
    for index in range(depth):
        inputs, padding = (WIDTH, 1) if index else (channels, first_padding)
        convolution = nn.Conv2d(inputs, WIDTH, 3, padding=padding)
        layers += [convolution, nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True), nn.AvgPool2d(2)]
    features = WIDTH * (side >> depth) ** 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, classes))


class Block(nn.Module):
    """A residual block of two 3x3 convolutions, as torchvision's BasicBlock."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        projection = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Identity() if (stride, inputs) == (1, outputs) else nn.Sequential(*projection)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Args: x [B, inputs, H, W]."""
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(branch + self.shortcut(x), inplace=True)


def make_resnet18(classes: int, *, small_images: bool) -> nn.Module:
    """ResNet-18; for small images with a 3x3 first convolution of stride 1 and no max-pooling."""
    first = nn.Conv2d(3, 64, 3, 1, 1, bias=False) if small_images else nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    pool = nn.Identity() if small_images else nn.MaxPool2d(3, 2, 1)
    blocks: list[nn.Module] = []
    for stage in range(4):
        width = 64 * 2**stage
        blocks += [Block(64 if stage == 0 else width // 2, width, 1 if stage == 0 else 2), Block(width, width, 1)]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))
    return nn.Sequential(first, nn.BatchNorm2d(64), nn.ReLU(inplace=True), pool, *blocks, *head)


def make_network(model: str, classes: int, side: int, channels: int) -> nn.Module:
    """A network by gift_jax's name of it: `convN`, `resnet18` or `resnet18_modified`."""
    if model.startswith("conv"):
        return make_convnet(int(model.removeprefix("conv")), classes, side, channels)
    return make_resnet18(classes, small_images=model == "resnet18_modified")
