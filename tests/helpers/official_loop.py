"""The official training loop of GIFT in PyTorch, written anew from what is known of it, with its draws handed in.

Known: AdamW at 1e-3 with weight decay 1e-4 on everything, the rate times 0.2 after two thirds and after five sixths
of the epochs, DSA on the normalised batch with draws an image, the teacher in eval mode on that very batch, a
validation every quarter of the epochs, and the criteria. Only what is random comes from outside: initial weights,
order of the batches, draws of the augmentation.
"""

import functools
from typing import NamedTuple

import torch
from torch.nn import functional as F

from benchmarks import torch_parts
from convert.families.convnet import Reference
from gift_jax.models import ModelSpec

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
ConvNet = functools.partial(Reference, ModelSpec("conv3", 10, 32))


def normalise(images):
    """Args: images [N, 3, H, W] in [0, 1]."""
    mean, std = (torch.tensor(values, dtype=images.dtype)[:, None, None] for values in (MEAN, STD))
    return (images - mean) / std


def kl(student, teacher, labels):
    return F.kl_div(F.log_softmax(student / 20, 1), F.softmax(teacher / 20, 1), reduction="batchmean")


def mse_ce(student, teacher, labels):
    return F.mse_loss(student, teacher) + 0.1 * F.cross_entropy(student, labels)


CRITERIA = {"gift": torch_parts.gift_loss, "kl": kl, "mse_ce": mse_ce}


def augment(images, draws):
    """Flip, colours, one of the geometric operations for the batch, cutout. Args: draws by operation."""
    [geometric] = [operation for operation in torch_parts.GEOMETRIC if operation.__name__ in draws]

    def given(operation, images):
        return [d.to(images.dtype) if d.is_floating_point() else d for d in draws[operation.__name__]]

    return torch_parts.augment(images, geometric, given)


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
