"""What both PyTorch sides share: networks, the official augmentation and the GIFT loss, in PyTorch."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import torch_networks
from benchmarks.workloads import LEARNING_RATE, WEIGHT_DECAY, Workload

CROP_RATIO, CUTOUT_RATIO, SCALE_RATIO, ROTATE_DEGREES = 0.125, 0.5, 1.2, 15.0


def find_device() -> torch.device:
    """The first GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_network(workload: Workload, seed: int) -> nn.Module:
    """The workload's network with random weights."""
    torch.manual_seed(seed)
    return torch_networks.make_network(workload.model, workload.classes, workload.side, workload.channels)


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
