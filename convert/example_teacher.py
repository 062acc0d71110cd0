"""`python -m convert example-teacher`: train a small PyTorch teacher on the digits, saved as trainers save theirs.

The torchvision reference recipe in small, on images that are moved by at most a pixel.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gift_jax.data.datasets import get_dataset
from gift_jax.data.digits import load_split
from gift_jax.models import ModelSpec
from gift_jax.runtime.seeds import check_seeds

from .families.convnet import Reference
from .torch_file import check_ending, save_object

SPEC = ModelSpec("conv2", 10, 8, 1, (("width", 32),))
BATCH_SIZE = 64


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """uint8 [N, H, W, C] -> normalised float32 [N, C, H, W]."""
    normalisation = get_dataset("digits").normalisation
    scaled = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 255
    return (scaled - normalisation.mean[0]) / normalisation.std[0]


def train_example(out: Path, *, epochs: int, seed: int) -> None:
    """Train, save `{"model", "optimizer", "lr_scheduler", "epoch", "args"}`, and say how accurate it is."""
    check_ending(out)
    torch.set_num_threads(1)  # on images this small more threads only wait for one another
    check_seeds([seed])
    torch.manual_seed(seed)
    split = load_split()
    images, labels = to_tensor(split.train_images), torch.from_numpy(split.train_labels).long()
    model = Reference(SPEC)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(labels)).split(BATCH_SIZE):
            loss = nn.functional.cross_entropy(model(_moved(images[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    with torch.inference_mode():
        predicted = model.eval()(to_tensor(split.test_images)).argmax(1).numpy()
    accuracy = 100 * float((predicted == split.test_labels).mean())
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "epoch": epochs - 1,
        "args": argparse.Namespace(model=SPEC.name, data="digits", epochs=epochs, seed=seed),
    }
    save_object(out, checkpoint)
    print(f"written   {out}: {SPEC.name}, top-1 {accuracy:.1f} % on {len(split.test_labels)} test digits")


def _moved(images: torch.Tensor) -> torch.Tensor:
    top, left = torch.randint(3, (2,)).tolist()
    border = nn.functional.pad(images, (1, 1, 1, 1), value=float(images.min()))
    size = images.shape[-1]
    return border[..., top : top + size, left : left + size]
