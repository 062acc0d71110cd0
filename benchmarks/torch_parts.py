"""What both PyTorch sides share: networks, the official augmentation and the GIFT loss, in PyTorch."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.workloads import LEARNING_RATE, SEEDS, WEIGHT_DECAY, Workload, evaluation_epochs
from convert.vision import load_torchvision_models

CROP_RATIO, CUTOUT_RATIO, SCALE_RATIO, ROTATE_DEGREES = 0.125, 0.5, 1.2, 15.0
WIDTH = 128


def find_device() -> torch.device:
    """The first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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


def make_network(workload: Workload, seed: int) -> nn.Module:
    """The workload's network with random weights, without JAX; ResNet-18 as torchvision has it."""
    torch.manual_seed(seed)
    if workload.model.startswith("conv"):
        depth = int(workload.model.removeprefix("conv"))
        return make_convnet(depth, workload.classes, workload.side, workload.channels)
    network = load_torchvision_models().resnet18(num_classes=workload.classes)
    if workload.model == "resnet18_modified":
        network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.Identity()
    return network


def make_optimizer(network: nn.Module, *, fused: bool = False) -> torch.optim.Optimizer:
    """The official AdamW."""
    return torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=fused or None)


def gift_loss(student: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """`1 - cos(student, t / |t| + 0.1 s / |s|)`, s the labels smoothed by 0.1; the batch's mean."""
    classes = student.shape[1]
    smooth = torch.full_like(student, 0.1 / (classes - 1)).scatter(1, labels[:, None], 0.9)
    refined = F.normalize(teacher, dim=1) + 0.1 * F.normalize(smooth, dim=1)
    return 1 - F.cosine_similarity(student, refined, dim=1).mean()


def flip(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Mirror half of the images. Args of this and the next ones: images [B, C, H, W]; draws [B]."""
    return torch.where(u[:, None, None, None] < 0.5, images.flip(3), images)


def brightness(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Add -0.5 to 0.5."""
    return images + (u[:, None, None, None] - 0.5)


def saturation(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Multiply what differs from a pixel's grey by 0 to 2."""
    grey = images.mean(dim=1, keepdim=True)
    return (images - grey) * (2 * u[:, None, None, None]) + grey


def contrast(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Multiply what differs from an image's mean by 0.5 to 1.5."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (u[:, None, None, None] + 0.5) + mean


def _indices(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch, _, height, width = images.shape
    where = (torch.arange(length, device=images.device) for length in (batch, height, width))
    image, row, column = torch.meshgrid(*where, indexing="ij")
    return image, row, column


def crop(images: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Shift by whole pixels, zero outside."""
    height, width = images.shape[2:]
    image, row, column = _indices(images)
    row = (row + down[:, None, None] + 1).clamp(0, height + 1)
    column = (column + right[:, None, None] + 1).clamp(0, width + 1)
    padded = F.pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    return padded[image, row, column].permute(0, 3, 1, 2)


def cutout(images: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Set a square of half the side around a pixel to zero."""
    height, width = (_share(side, CUTOUT_RATIO) for side in images.shape[2:])
    _, row, column = _indices(images)
    row = row - down[:, None, None] + height // 2
    column = column - right[:, None, None] + width // 2
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return images * ~inside[:, None]


def _warp(images: torch.Tensor, first: list[torch.Tensor], second: list[torch.Tensor]) -> torch.Tensor:
    matrix = torch.stack([torch.stack(first, 1), torch.stack(second, 1)], 1)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def scale(images: torch.Tensor, u_x: torch.Tensor, u_y: torch.Tensor) -> torch.Tensor:
    """Zoom by 1 / 1.2 to 1.2 in each direction."""
    x, y = (u * (SCALE_RATIO - 1 / SCALE_RATIO) + 1 / SCALE_RATIO for u in (u_x, u_y))
    zero = torch.zeros_like(x)
    return _warp(images, [x, zero, zero], [zero, y, zero])


def rotate(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """Rotate by up to 15 degrees."""
    angle = (u - 0.5) * (2 * ROTATE_DEGREES / 180 * math.pi)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return _warp(images, [cos, -sin, zero], [sin, cos, zero])


GEOMETRIC = (crop, scale, rotate)


def _share(side: int, ratio: float) -> int:
    return int(side * ratio + 0.5)


def draw(operation: Callable[..., torch.Tensor], images: torch.Tensor) -> Sequence[torch.Tensor]:
    """Fresh draws [B] of an operation: whole pixels down and right, else numbers from 0 to 1."""
    count, sides, device = len(images), images.shape[2:], images.device
    if operation is crop:
        limits = [_share(side, CROP_RATIO) for side in sides]
        return [torch.randint(-limit, limit + 1, (count,), device=device) for limit in limits]
    if operation is cutout:
        ends = [side + 1 - _share(side, CUTOUT_RATIO) % 2 for side in sides]
        return [torch.randint(0, end, (count,), device=device) for end in ends]
    return [torch.rand(count, device=device) for _ in range(2 if operation is scale else 1)]


def augment(
    images: torch.Tensor, geometric: Callable[..., torch.Tensor], draw: Callable[..., Any] = draw
) -> torch.Tensor:
    """The official strategy on a normalised batch: flip, colours, one of `GEOMETRIC`, cutout."""
    for operation in (flip, brightness, saturation, contrast, geometric, cutout):
        images = operation(images, *draw(operation, images))
    return images


def train_seeds(side: Any, *tests: Any) -> None:
    """Train a student a seed, and evaluate it on tests as often as the official code does."""
    for seed in SEEDS:
        side.start(seed)
        for epoch in range(1, side.size.epochs + 1):
            side.epoch()
            if epoch in evaluation_epochs(side.size.epochs):
                side.validate(*tests)
