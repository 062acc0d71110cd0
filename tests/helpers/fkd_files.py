"""Stored soft labels, written and read in PyTorch as the authors' scripts do (here in one process)."""

import functools
import math
import operator

import jax
import numpy as np
import torch
from PIL import Image
from trees import pixels

from convert.vision import load_torchvision_models
from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import DistilledSet

load_torchvision_models()
from torchvision import transforms  # noqa: E402 (only now does it import)
from torchvision.transforms import functional  # noqa: E402

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
SEED, BATCH = 42, 8
NORMALISATION = Normalisation(MEAN, STD)
SIDE = 28  # float16 does not tell the crops of it exactly
IMAGES, LABELS = pixels(30, SIDE), np.repeat(np.arange(10, dtype=np.int32), 3)
PICTURES = [Image.fromarray(image) for image in IMAGES]


def make_set(images=IMAGES, labels=LABELS):
    return DistilledSet(images, labels, None, "raw", "cifar10", "sre2l", 3)


def batches(labels, epoch):
    """Each batch of an imported epoch."""
    full, rest = labels.epoch(epoch)
    singles = [jax.tree.map(operator.itemgetter(place), full) for place in range(len(full.indices))]
    return [*singles, *([] if rest is None else [rest])]


def prepared(image, box, flipped):
    """A Pillow image cropped, flipped and normalised."""
    image = functional.resized_crop(image, *box, [SIDE, SIDE])
    image = functional.hflip(image) if flipped else image
    return functional.normalize(functional.to_tensor(image), MEAN, STD)


def sampler(count, batch):
    generator = torch.Generator().manual_seed(SEED)
    order = torch.utils.data.RandomSampler(range(count), generator=generator)
    return torch.utils.data.BatchSampler(order, batch, drop_last=False)


def mix_box(rng, lam):
    """Rows and columns of a box, numpy integers as np.clip gives them."""
    side, centre = int(SIDE * math.sqrt(1 - lam)), rng.integers(SIDE, size=2)
    low, high = ([np.clip(c + sign * (side // 2), 0, SIDE) for c in centre] for sign in (-1, 1))
    return [*low, *high]


def mixed(images, partners, lam, box):
    images = images.clone()
    if box is not None:
        rows, columns = slice(box[0], box[2]), slice(box[1], box[3])
        images[:, :, rows, columns] = images[partners][:, :, rows, columns]
    elif partners is not None:
        images = lam * images + (1 - lam) * images[partners]
    return images


def teacher(images, labels):
    """Logits that depend on the pixels of the mixed image, mostly of the class of the image."""
    generator = torch.Generator().manual_seed(0)
    logits = images.flatten(1) @ torch.randn(images[0].numel(), 10, generator=generator) / 300
    return logits + 4 * torch.nn.functional.one_hot(labels, 10)


def recorder(mix="cutmix"):
    """A function that makes a batch's six parts of its rows: crops, flips, partners, share, box, logits."""
    torch.manual_seed(1)
    return functools.partial(_record_of, np.random.default_rng(1), mix)


def _record_of(rng, mix, rows):
    boxes = [transforms.RandomResizedCrop.get_params(PICTURES[row], (0.08, 1), (3 / 4, 4 / 3)) for row in rows]
    coords = torch.stack([torch.FloatTensor([value / SIDE for value in box]) for box in boxes])
    flips = torch.tensor([bool(torch.rand(1) < 0.5) for _ in rows])
    batch_images = [prepared(PICTURES[r], b, f) for r, b, f in zip(rows, boxes, flips, strict=True)]
    partners, lam, box = None, None, None
    if mix != "none":
        partners, lam = torch.randperm(len(rows)), rng.beta(1.0, 1.0)
        box = mix_box(rng, lam) if mix == "cutmix" else None
    seen = mixed(torch.stack(batch_images), partners, lam, box)
    return [coords, flips, partners, lam, box, teacher(seen, torch.from_numpy(LABELS[rows]).long()).half()]


def write_fkd(folder, *, epochs=2, mix="cutmix", further=lambda rows: []):
    """Write `epoch_*/batch_*.tar` for the pictures in ImageFolder's order; further, `rows -> parts` at the end."""
    record_of, batches = recorder(mix), sampler(len(IMAGES), BATCH)
    for epoch in range(epochs):
        (folder / f"epoch_{epoch}").mkdir(parents=True)
        for number, rows in enumerate(batches):
            torch.save(record_of(rows) + further(rows), folder / f"epoch_{epoch}" / f"batch_{number}.tar")
    return folder


def numbers(rows):
    """What G-VBSM's records have besides."""
    return [torch.tensor(rows)]


def shown(parts, rows, prepare=prepared):
    """The images of a batch: cropped at fractions of the side that are not rounded before, which Pillow then does."""
    coords, flips, partners, lam, box = parts[:5]
    chosen = [
        prepare(PICTURES[row], [value.item() * SIDE for value in place], flipped)
        for row, place, flipped in zip(rows, coords, flips, strict=True)
    ]
    partners = partners if partners is None else partners.long()
    return mixed(torch.stack(chosen), partners, lam, box)


def read_fkd(folder, epochs):
    """The authors' loader: (rows, images [B, C, H, W], logits) of each batch, by epoch."""
    batches = sampler(len(IMAGES), BATCH)
    for epoch in range(epochs):
        loaded = []
        for number, rows in enumerate(batches):
            parts = torch.load(folder / f"epoch_{epoch}" / f"batch_{number}.tar", weights_only=False)
            rows = parts[6].tolist() if len(parts) > 6 else rows
            loaded.append((rows, shown(parts, rows), parts[5].float()))
        yield loaded
