"""Baseline (b), the strongest PyTorch that a user could write: nothing leaves the device inside an epoch.

uint8 images on the device, channels last, float32 or bfloat16 by autocast, `torch.compile` of augmentation and networks
(with CUDA graphs where they work), fused AdamW, large evaluation batches.
"""

import random
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.torch_parts import GEOMETRIC, augment, find_device, gift_loss, make_network, make_optimizer, train_seeds
from benchmarks.workloads import Workload, make_pixels

TEST_BATCH = 1000
# Tried in this order; the first that trains an epoch is used, and reported.
MODES = {"cuda": ("reduce-overhead", "default", "eager"), "cpu": ("default", "eager")}


class Strongest:
    """One side of the comparison: epochs of steps, and whole evaluations."""

    def __init__(self, workload: Workload, precision: str = "float32") -> None:
        self.workload, self.precision, self.device = workload, precision, find_device()
        self.size = workload.size("cpu" if self.device.type == "cpu" else "gpu")
        self.images, self.labels = self._resident(self.size.images, 0)
        shape = (1, workload.channels, 1, 1)
        self.mean = torch.tensor(workload.mean, device=self.device).view(shape)
        self.std = torch.tensor(workload.std, device=self.device).view(shape)
        self.teacher = self._network(100).eval().requires_grad_(False)
        # One student for all seeds: compiled code is bound to its module, whose weights are then replaced.
        self.student = self._network(0)
        self.optimizer = make_optimizer(self.student, fused=True)
        self.mode = self._find_mode()

    def _network(self, seed: int) -> torch.nn.Module:
        network = make_network(self.workload, seed).to(self.device)
        return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def _resident(self, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = make_pixels(self.workload, count, seed)
        nchw = torch.from_numpy(images).permute(0, 3, 1, 2)  # in memory this is channels last
        return nchw.to(self.device), torch.from_numpy(labels).long().to(self.device)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _find_mode(self) -> str:
        errors = []
        for mode in MODES[self.device.type]:
            self._compile(mode)
            try:
                self.epoch()
                self.epoch()
                return mode
            except Exception as error:
                errors.append(f"{mode}: {error!r}"[:500])
        raise RuntimeError("; ".join(errors))

    def _compile(self, mode: str) -> None:
        options = {"mode": None if mode in ("default", "eager") else mode, "disable": mode == "eager"}
        functions = (self._inputs, self._loss, self._logits)
        self.inputs, self.loss, self.logits = (torch.compile(each, dynamic=False, **options) for each in functions)

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        return (images.float() / 255 - self.mean) / self.std

    def _inputs(self, images: torch.Tensor, operation: Callable[..., torch.Tensor]) -> torch.Tensor:
        return augment(self._normalised(images), operation).contiguous(memory_format=torch.channels_last)

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            with torch.no_grad():
                soft = self.teacher(images)
            logits = self.student(images)
        return gift_loss(logits.float(), soft.float(), labels)

    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            return self.student(self._normalised(images))

    def start(self, seed: int) -> None:
        """Begin anew with a student's weights and an optimizer."""
        self.student.load_state_dict(self._network(seed).state_dict())
        self.optimizer = make_optimizer(self.student, fused=True)

    def epoch(self) -> float:
        """Train for one epoch. Returns: the mean loss, the only value read back."""
        self.student.train()
        total = torch.zeros((), device=self.device)
        for indices in torch.randperm(self.size.images, device=self.device).split(self.size.batch):
            torch.compiler.cudagraph_mark_step_begin()
            images = self.inputs(self.images[indices], random.choice(GEOMETRIC))
            loss = self.loss(images.clone() if self.device.type == "cuda" else images, self.labels[indices])
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            total += loss.detach() * len(indices)
        return (total / self.size.images).item()

    @torch.no_grad()
    def validate(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Top-1 accuracy in percent."""
        self.student.eval()
        hits = torch.zeros((), device=self.device)
        for start in range(0, len(labels), TEST_BATCH):
            part = slice(start, start + TEST_BATCH)
            hits += (self.logits(images[part]).argmax(dim=1) == labels[part]).sum()
        return 100 * hits.item() / len(labels)

    def whole(self) -> None:
        """Train and evaluate a student a seed."""
        train_seeds(self, *self._resident(self.size.test_images, 1))

    def describe(self) -> dict[str, Any]:
        """How this side runs."""
        return {"compiled": self.mode, "compute": self.precision, "threads": torch.get_num_threads()}
