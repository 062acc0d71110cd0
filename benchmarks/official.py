"""Baseline (a), the official loop as published: four loader workers over float32 tensors, everything eager.

Workers stay from epoch to epoch (the published `MultiEpochsDataLoader`). They normalise image by image; the batch is
augmented, a frozen teacher asked, AdamW stepped, and loss and accuracy are read back every step. Validation is in the
training batch size, with the teacher's pass whose result the official code overwrites.
"""

import random
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.torch_parts import GEOMETRIC, augment, find_device, gift_loss, make_network, make_optimizer, train_seeds
from benchmarks.workloads import Workload, make_pixels

WORKERS = 4


class FloatImages(Dataset[tuple[torch.Tensor, int]]):
    """A set of float32 tensors [C, H, W] in [0, 1], each normalised when it is read."""

    def __init__(self, workload: Workload, count: int, seed: int) -> None:
        images, labels = make_pixels(workload, count, seed)
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255
        self.labels = labels.tolist()
        self.mean = torch.tensor(workload.mean)[:, None, None]
        self.std = torch.tensor(workload.std)[:, None, None]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return (self.images[index] - self.mean) / self.std, self.labels[index]


class Official:
    """One side of the comparison: epochs of steps, and whole evaluations."""

    def __init__(self, workload: Workload) -> None:
        self.workload, self.device = workload, find_device()
        self.size = workload.size("cpu" if self.device.type == "cpu" else "gpu")
        self.loader = self._loader(self.size.images, 0, shuffle=True)
        self.teacher = make_network(workload, 100).to(self.device).eval()
        self.start(0)

    def _loader(self, count: int, seed: int, *, shuffle: bool) -> DataLoader[Any]:
        data = FloatImages(self.workload, count, seed)
        pinned = self.device.type == "cuda"
        return DataLoader(
            data, self.size.batch, shuffle=shuffle, num_workers=WORKERS, pin_memory=pinned, persistent_workers=True
        )

    def start(self, seed: int) -> None:
        """Begin anew with a student and an optimizer."""
        self.student = make_network(self.workload, seed).to(self.device)
        self.optimizer = make_optimizer(self.student)

    def epoch(self) -> float:
        """Train for one epoch. Returns: the mean loss."""
        self.student.train()
        total = 0.0
        for images, labels in self.loader:
            images, labels = (x.to(self.device, non_blocking=True) for x in (images, labels))
            images = augment(images, random.choice(GEOMETRIC))
            with torch.no_grad():
                soft = self.teacher(images)
            logits = self.student(images)
            loss = gift_loss(logits, soft, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            _accuracies(logits, labels)
            total += loss.item() * len(labels)
        return total / self.size.images

    @torch.no_grad()
    def validate(self, loader: DataLoader[Any]) -> float:
        """Top-1 accuracy in percent."""
        self.student.eval()
        hits = 0.0
        for images, labels in loader:
            images, labels = images.to(self.device), labels.to(self.device)
            self.teacher(images)
            hits += _accuracies(self.student(images), labels)[0] * len(labels)
        return hits / len(loader.dataset)  # pyright: ignore[reportArgumentType]

    def whole(self) -> None:
        """Train and evaluate a student a seed."""
        train_seeds(self, self._loader(self.size.test_images, 1, shuffle=False))

    def describe(self) -> dict[str, Any]:
        """How this side runs."""
        return {"workers": WORKERS, "threads": torch.get_num_threads()}


def _accuracies(logits: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    hits = logits.topk(5, dim=1).indices == labels[:, None]
    return 100 * hits[:, 0].float().mean().item(), 100 * hits.any(dim=1).float().mean().item()
