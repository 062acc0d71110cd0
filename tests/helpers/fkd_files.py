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
IMAGES, LABELS = pixels(30, 32), np.repeat(np.arange(10, dtype=np.int32), 3)


def make_set(images=IMAGES, labels=LABELS):
    return DistilledSet(images, labels, None, "raw", "cifar10", "sre2l", 3)


def batches(labels, epoch):
    """Each batch of an imported epoch."""
    full, rest = labels.epoch(epoch)
    singles = [jax.tree.map(operator.itemgetter(place), full) for place in range(len(full.indices))]
    return [*singles, *([] if rest is None else [rest])]


def prepared(image, box, flipped, size):
    """A Pillow image cropped, flipped and normalised."""
    image = functional.resized_crop(image, *box, [size, size])
    image = functional.hflip(image) if flipped else image
    return functional.normalize(functional.to_tensor(image), MEAN, STD)


def sampler(count, batch):
    generator = torch.Generator().manual_seed(SEED)
    order = torch.utils.data.RandomSampler(range(count), generator=generator)
    return torch.utils.data.BatchSampler(order, batch, drop_last=False)


def mix_box(rng, size, lam):
    """Rows and columns of a box, numpy integers as np.clip gives them."""
    side, centre = int(size * math.sqrt(1 - lam)), rng.integers(size, size=2)
    low, high = ([np.clip(c + sign * (side // 2), 0, size) for c in centre] for sign in (-1, 1))
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


def recorder(images, labels, mix="cutmix"):
    """A function that makes a batch's six parts of its rows: crops, flips, partners, share, box, logits."""
    torch.manual_seed(1)
    rng, labels = np.random.default_rng(1), torch.as_tensor(labels).long()
    return functools.partial(_record_of, images, labels, rng, mix)


def _record_of(images, labels, rng, mix, rows):
    size = images[0].size[0]
    boxes = [transforms.RandomResizedCrop.get_params(images[row], (0.08, 1), (3 / 4, 4 / 3)) for row in rows]
    coords = torch.stack([torch.FloatTensor([value / size for value in box]) for box in boxes])
    flips = torch.tensor([bool(torch.rand(1) < 0.5) for _ in rows])
    batch_images = [prepared(images[r], b, f, size) for r, b, f in zip(rows, boxes, flips, strict=True)]
    partners, lam, box = None, None, None
    if mix != "none":
        partners, lam = torch.randperm(len(rows)), rng.beta(1.0, 1.0)
        box = mix_box(rng, size, lam) if mix == "cutmix" else None
    seen = mixed(torch.stack(batch_images), partners, lam, box)
    return [coords, flips, partners, lam, box, teacher(seen, labels[rows]).half()]


def write_fkd(folder, images, labels, *, epochs=2, mix="cutmix", with_numbers=False, batch=BATCH, further=None):
    """Write `epoch_*/batch_*.tar` for Pillow images in ImageFolder's order; further, `rows -> parts` at the end."""
    record_of, batches = recorder(images, labels, mix), sampler(len(images), batch)
    for epoch in range(epochs):
        (folder / f"epoch_{epoch}").mkdir(parents=True)
        for number, rows in enumerate(batches):
            record = record_of(rows) + ([torch.tensor(rows)] if with_numbers else [])
            record += further(rows) if further else []
            torch.save(record, folder / f"epoch_{epoch}" / f"batch_{number}.tar")
    return folder


def shown(parts, images, rows, prepare=prepared):
    """The images of a batch: cropped at fractions of the side that are not rounded before, which Pillow then does."""
    coords, flips, partners, lam, box = parts[:5]
    size = images[0].size[0]
    chosen = [
        prepare(images[row], [value.item() * size for value in place], flipped, size)
        for row, place, flipped in zip(rows, coords, flips, strict=True)
    ]
    partners = partners if partners is None else partners.long()
    return mixed(torch.stack(chosen), partners, lam, box)


def read_fkd(folder, images, epochs, *, batch=BATCH):
    """The authors' loader: (rows, images [B, C, H, W], logits) of each batch, by epoch."""
    batches = sampler(len(images), batch)
    for epoch in range(epochs):
        loaded = []
        for number, rows in enumerate(batches):
            parts = torch.load(folder / f"epoch_{epoch}" / f"batch_{number}.tar", weights_only=False)
            rows = parts[6].tolist() if len(parts) > 6 else rows
            loaded.append((rows, shown(parts, images, rows), parts[5].float()))
        yield loaded


def pictures(pixels):
    return [Image.fromarray(image) for image in pixels]
