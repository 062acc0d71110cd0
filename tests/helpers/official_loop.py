"""The official training loop of GIFT in PyTorch, written anew from what is known of it, with its draws handed in.

Known: AdamW at 1e-3 with weight decay 1e-4 on everything, the rate times 0.2 after two thirds and after five sixths
of the epochs, DSA on the normalised batch with draws an image, the teacher in eval mode on that very batch, a
validation every quarter of the epochs, and the criteria. Only what is random comes from outside: initial weights,
order of the batches, draws of the augmentation.
"""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
SIDE, WIDTH, CLASSES = 32, 128, 10
GEOMETRIC = ("crop", "scale", "rotate")


class ConvNet(nn.Module):
    """RDED's ConvNet: convolution with bias, BatchNorm, ReLU, average pooling; features flattened as CHW."""

    def __init__(self, depth=3):
        super().__init__()
        convolutions = [nn.Conv2d(WIDTH if i else 3, WIDTH, 3, padding=1) for i in range(depth)]
        norms = [nn.BatchNorm2d(WIDTH) for _ in range(depth)]
        self.layers = nn.ModuleDict({"conv": nn.ModuleList(convolutions), "norm": nn.ModuleList(norms)})
        self.classifier = nn.Linear(WIDTH * (SIDE >> depth) ** 2, CLASSES)

    def forward(self, x):
        for convolution, norm in zip(self.layers["conv"], self.layers["norm"], strict=True):
            x = F.avg_pool2d(F.relu(norm(convolution(x))), 2)
        return self.classifier(x.flatten(1))


def normalise(images):
    """Args: images [N, 3, H, W] in [0, 1]."""
    mean, std = (torch.tensor(values, dtype=images.dtype)[:, None, None] for values in (MEAN, STD))
    return (images - mean) / std


# ---- criteria ----------------------------------------------------------------------------------------------


def gift(student, teacher, labels):
    smooth = torch.full_like(student, 0.1 / (CLASSES - 1)).scatter(1, labels[:, None], 0.9)
    refined = F.normalize(teacher, dim=1) + 0.1 * F.normalize(smooth, dim=1)
    return 1 - F.cosine_similarity(student, refined, dim=1).mean()


def kl(student, teacher, labels):
    return F.kl_div(F.log_softmax(student / 20, 1), F.softmax(teacher / 20, 1), reduction="batchmean")


def mse_ce(student, teacher, labels):
    return F.mse_loss(student, teacher) + 0.1 * F.cross_entropy(student, labels)


CRITERIA = {"gift": gift, "kl": kl, "mse_ce": mse_ce}


# ---- DSA: images [B, C, H, W], draws [B] -------------------------------------------------------------------


def flip(images, u):
    return torch.where(u[:, None, None, None] < 0.5, images.flip(3), images)


def brightness(images, u):
    return images + (u[:, None, None, None] - 0.5)


def saturation(images, u):
    grey = images.mean(dim=1, keepdim=True)
    return (images - grey) * (2 * u[:, None, None, None]) + grey


def contrast(images, u):
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (u[:, None, None, None] + 0.5) + mean


def crop(images, down, right):
    """Shifted by whole pixels, with one row and column of zeros around, where every step outside ends."""
    padded, size = F.pad(images, (1, 1, 1, 1)), images.shape[-1]
    rows = (torch.arange(size)[None] + down[:, None] + 1).clamp(0, size + 1)
    columns = (torch.arange(size)[None] + right[:, None] + 1).clamp(0, size + 1)
    which = torch.arange(len(images))[:, None, None]
    return padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(images, row, column):
    """A square of half the side around (row, column) becomes zero, what of it is in the image."""
    mask, size = torch.ones_like(images), images.shape[-1]
    for one, top, left in zip(mask, (row - size // 4).tolist(), (column - size // 4).tolist(), strict=True):
        one[:, max(top, 0) : max(top + size // 2, 0), max(left, 0) : max(left + size // 2, 0)] = 0
    return images * mask


def warp(images, matrix):
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def scale(images, u_x, u_y):
    x, y = (u * (1.2 - 1 / 1.2) + 1 / 1.2 for u in (u_x, u_y))
    zero = torch.zeros_like(x)
    return warp(images, torch.stack([torch.stack([x, zero, zero], 1), torch.stack([zero, y, zero], 1)], 1))


def rotate(images, u):
    angle = (u - 0.5) * 2 * 15 / 180 * math.pi
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    return warp(images, torch.stack([torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)], 1))


OPERATIONS = {f.__name__: f for f in (flip, brightness, saturation, contrast, crop, cutout, scale, rotate)}


def augment(images, draws):
    """Flip, colours, one of the geometric operations for the batch, cutout. Args: draws by operation."""
    [geometric] = [name for name in GEOMETRIC if name in draws]
    for name in ("flip", "brightness", "saturation", "contrast", geometric, "cutout"):
        given = [d.to(images.dtype) if d.is_floating_point() else d for d in draws[name]]
        images = OPERATIONS[name](images, *given)
    return images


# ---- training ----------------------------------------------------------------------------------------------


class Batch(NamedTuple):
    """Indices [B] into the set, and the augmentation's draws, tensors [B] by operation."""

    indices: torch.Tensor
    draws: dict[str, list[torch.Tensor]]


class Result(NamedTuple):
    """Losses [steps], (top-1, top-5) in percent at every validation, and the final state dict."""

    losses: list[float]
    history: list[tuple[float, float]]
    state: dict[str, torch.Tensor]


def train(student, teacher, images, labels, tests, criterion, epochs):
    """Train the student on epochs, lists of Batch. Args: images [N, 3, H, W] in [0, 1]; tests, (images, labels)."""
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3, weight_decay=1e-4)
    count = len(epochs)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2 * count // 3, 5 * count // 6], gamma=0.2)
    teacher.eval()
    losses, history = [], []
    for number, epoch in enumerate(epochs, 1):
        student.train()
        for batch in epoch:
            shown = augment(normalise(images[batch.indices]), batch.draws)
            with torch.no_grad():
                soft = teacher(shown)
            loss = CRITERIA[criterion](student(shown), soft, labels[batch.indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        if number % (count // 4) == 0:
            history.append(validate(student, *tests))
    return Result(losses, history, student.state_dict())


@torch.no_grad()
def validate(student, images, labels):
    student.eval()
    hits = student(normalise(images)).topk(5, dim=1).indices == labels[:, None]
    return 100 * hits[:, 0].double().mean().item(), 100 * hits.any(1).double().mean().item()
