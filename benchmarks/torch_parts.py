"""What both PyTorch sides share: networks, the official augmentation and the GIFT loss, in PyTorch."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.workloads import LEARNING_RATE, SEEDS, WEIGHT_DECAY, Workload, evaluation_epochs

CROP_RATIO, CUTOUT_RATIO, SCALE_RATIO, ROTATE_DEGREES = 0.125, 0.5, 1.2, 15.0


def find_device() -> torch.device:
    """The first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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


def make_network(workload: Workload, seed: int) -> nn.Module:
    """The workload's network with random weights, in plain PyTorch, so that neither JAX nor torchvision is loaded."""
    torch.manual_seed(seed)
    if workload.model.startswith("conv"):
        depth = int(workload.model.removeprefix("conv"))
        return make_convnet(depth, workload.classes, workload.side, workload.channels)
    return make_resnet18(workload.classes, small_images=workload.model == "resnet18_modified")


def make_optimizer(network: nn.Module, *, fused: bool = False) -> torch.optim.Optimizer:
    """The official AdamW."""
    return torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=fused or None)


def gift_loss(student: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """`1 - cos(student, t / |t| + 0.1 s / |s|)`, s the labels smoothed by 0.1; the batch's mean."""
    classes = student.shape[1]
    smooth = torch.full_like(student, 0.1 / (classes - 1)).scatter(1, labels[:, None], 0.9)
    refined = F.normalize(teacher, dim=1) + 0.1 * F.normalize(smooth, dim=1)
    return 1 - F.cosine_similarity(student, refined, dim=1).mean()


def _draw(images: torch.Tensor) -> torch.Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device)


def flip(images: torch.Tensor) -> torch.Tensor:
    """Mirror half of the images [B, C, H, W]."""
    return torch.where(_draw(images) < 0.5, images.flip(3), images)


def color(images: torch.Tensor) -> torch.Tensor:
    """Brightness, saturation and contrast, a draw an image each."""
    images = images + (_draw(images) - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * (_draw(images) * 2) + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (_draw(images) + 0.5) + mean


def _indices(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch, _, height, width = images.shape
    where = (torch.arange(length, device=images.device) for length in (batch, height, width))
    image, row, column = torch.meshgrid(*where, indexing="ij")
    return image, row, column


def _integers(low: int, high: int, images: torch.Tensor) -> torch.Tensor:
    return torch.randint(low, high, (len(images), 1, 1), device=images.device)


def crop(images: torch.Tensor) -> torch.Tensor:
    """Shift by up to an eighth of the side, zero outside."""
    height, width = images.shape[2:]
    limits = int(height * CROP_RATIO + 0.5), int(width * CROP_RATIO + 0.5)
    image, row, column = _indices(images)
    row = (row + _integers(-limits[0], limits[0] + 1, images) + 1).clamp(0, height + 1)
    column = (column + _integers(-limits[1], limits[1] + 1, images) + 1).clamp(0, width + 1)
    padded = F.pad(images, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    return padded[image, row, column].permute(0, 3, 1, 2)


def cutout(images: torch.Tensor) -> torch.Tensor:
    """Set a square of half the side to zero."""
    height, width = images.shape[2:]
    sizes = int(height * CUTOUT_RATIO + 0.5), int(width * CUTOUT_RATIO + 0.5)
    _, row, column = _indices(images)
    row = row - _integers(0, height + 1 - sizes[0] % 2, images) + sizes[0] // 2
    column = column - _integers(0, width + 1 - sizes[1] % 2, images) + sizes[1] // 2
    inside = (row >= 0) & (row < sizes[0]) & (column >= 0) & (column < sizes[1])
    return images * ~inside[:, None]


def _warp(images: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def scale(images: torch.Tensor) -> torch.Tensor:
    """Zoom by 1 / 1.2 to 1.2 in each direction."""
    ratios = torch.rand(2, len(images), device=images.device) * (SCALE_RATIO - 1 / SCALE_RATIO) + 1 / SCALE_RATIO
    zero = torch.zeros_like(ratios[0])
    rows = torch.stack([ratios[0], zero, zero], 1), torch.stack([zero, ratios[1], zero], 1)
    return _warp(images, torch.stack(rows, 1))


def rotate(images: torch.Tensor) -> torch.Tensor:
    """Rotate by up to 15 degrees."""
    angle = (torch.rand(len(images), device=images.device) - 0.5) * (2 * ROTATE_DEGREES / 180 * math.pi)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)
    return _warp(images, torch.stack(rows, 1))


GEOMETRIC: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {"crop": crop, "scale": scale, "rotate": rotate}


def augment(images: torch.Tensor, operation: str) -> torch.Tensor:
    """The official strategy on a normalised batch: flip, color, one of `GEOMETRIC`, cutout."""
    return cutout(GEOMETRIC[operation](color(flip(images))))


def train_seeds(side: Any, *tests: Any) -> None:
    """Train a student a seed, and evaluate it on tests as often as the official code does."""
    for seed in SEEDS:
        side.start(seed)
        for epoch in range(1, side.size.epochs + 1):
            side.epoch()
            if epoch in evaluation_epochs(side.size.epochs):
                side.validate(*tests)
