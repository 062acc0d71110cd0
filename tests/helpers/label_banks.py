"""Soft labels as LPLD, LPQLD, HALD, EDC and WMDD write them, and as their loaders show them, in one process."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import torch
from fkd_files import IMAGES, MEAN, NORMALISATION, SIDE, STD, functional, make_set, recorder, sampler, shown

from gift_jax.data.evaluation import EvaluationSet
from gift_jax.models import ModelSpec, get_model
from gift_jax.task import train
from gift_jax.training.replay import replay

STUDENT = get_model(ModelSpec("conv1", 10, SIDE, 3, (("width", 4),)))


def train_from(labels, recipe, distilled=None, teacher=None, **options):
    """Runs that are trained from stored labels, of the set that they are of or another."""
    tests = EvaluationSet(IMAGES[:12], np.arange(12, dtype=np.int32) % 10, "cifar10")
    return train(recipe, STUDENT, distilled or make_set(), teacher, tests, soft_labels=labels, **options)


def assert_shows(batch, info, images):
    """That a batch is replayed as the authors' loader shows it: to 2e-6, crops of tensors to 1e-5."""
    found, _ = REPLAY(jnp.asarray(IMAGES[batch.indices]), batch, info, "raw", NORMALISATION)
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), images, atol=2e-6 if info.crops == "bytes" else 1e-5)


REPLAY = jax.jit(replay, static_argnums=(2, 3, 4))


# ---- LPLD ----------------------------------------------------------------------------------------------


def write_lpld(folder, *, batch, epochs, kept):
    """Pruned to the first kept batches: each epoch lacks its smaller last batch, the last epoch may lack more."""
    record_of, order, written = recorder(), {}, 0
    for epoch in range(epochs):
        (folder / f"epoch_{epoch}").mkdir(parents=True)
        whole = [rows for rows in sampler_of(batch, epoch) if len(rows) == batch]
        for number, rows in enumerate(whole[: kept - written]):
            torch.save(record_of(rows), folder / f"epoch_{epoch}" / f"batch_{number}.tar")
            order.setdefault(str(epoch), []).extend(rows)
        written += min(len(whole), kept - written)
    (folder / "sampler_indices_epoch.json").write_text(json.dumps(order))
    return folder


def sampler_of(batch, epoch):
    """One epoch of the sampler's batches."""
    batches = sampler(len(IMAGES), batch)
    for _ in range(epoch):
        list(batches)
    return list(batches)


def read_lpld(folder, *, batch):
    """(rows, images, logits) of each batch, numbered through all epochs, whose rows the list tells."""
    order = json.loads((folder / "sampler_indices_epoch.json").read_text())
    steps = len(order["0"]) // batch
    for number in range(sum(map(len, order.values())) // batch):
        epoch, place = divmod(number, steps)
        rows = order[str(epoch)][place * batch :][:batch]
        parts = torch.load(folder / f"epoch_{epoch}" / f"batch_{place}.tar", weights_only=False)
        yield rows, shown(parts, rows), parts[5].float()


# ---- LPQLD ---------------------------------------------------------------------------------------------


def write_lpqld(folder, *, batch, count, top):
    """A pool of count batches, numbered through: the largest logits and their classes, crops in float16."""
    folder.mkdir(parents=True)
    record_of, order, number, batches = recorder(), {}, 0, sampler(len(IMAGES), batch)
    while number < count:
        for rows in batches:
            if len(rows) < batch or number == count:
                continue
            coords, flips, partners, lam, box, logits = record_of(rows)
            largest = torch.topk(logits.float(), top, dim=1)
            mixing = [partners.to(torch.uint8), lam, [torch.tensor(int(side), dtype=torch.uint8) for side in box]]
            record = [coords.half(), flips, *mixing, largest.values.half(), largest.indices.short()]
            torch.save(record, folder / f"batch_{number}.tar")
            order[str(number)], number = rows, number + 1
    (folder / "sampler_indices_batch.json").write_text(json.dumps(order))
    return folder


def read_lpqld(folder):
    """(rows, images, probabilities at T = 20) of each batch: a softmax over the largest logits alone ("MR")."""
    order = json.loads((folder / "sampler_indices_batch.json").read_text())
    for number, rows in order.items():
        parts = torch.load(folder / f"batch_{number}.tar", weights_only=False)
        yield rows, shown(parts, rows), parts[5].float(), parts[6].long()


def lpqld_targets(values, classes, temperature, num_classes=10):
    return torch.zeros(len(values), num_classes).scatter_(1, classes, torch.softmax(values / temperature, dim=1))


# ---- HALD ----------------------------------------------------------------------------------------------


def write_hald(folder, *, batch, epochs, temperature=20):
    """A list of batches an epoch: crops in float16, softmax probabilities."""
    folder.mkdir(parents=True)
    record_of, order = recorder(), {}
    for epoch in range(epochs):
        order[str(epoch)] = torch.randperm(len(IMAGES), generator=torch.Generator().manual_seed(42 + epoch)).tolist()
        stored = []
        for start in range(0, len(IMAGES), batch):
            rows = order[str(epoch)][start : start + batch]
            coords, *middle, logits = record_of(rows)
            stored.append([coords.half(), *middle, torch.softmax(logits.float() / temperature, dim=1).half()])
        torch.save(stored, folder / f"epoch_{epoch}.tar")
    torch.save(order, folder / "sampler_indices_dict.pt")
    return folder


def on_tensors(whole):
    """Prepare an image as a tensor, with a box of whole pixels."""

    def prepare(image, box, flipped):
        image = functional.to_tensor(image)
        top, left, height, width = map(whole, box)
        image = functional.resized_crop(image, top, left, height, width, [SIDE, SIDE], antialias=True)
        image = functional.hflip(image) if flipped else image
        return functional.normalize(image, MEAN, STD)

    return prepare


def read_hald(folder, *, batch):
    """(rows, images, probabilities) of each batch of each epoch; coordinates are cut off to whole pixels."""
    order = torch.load(folder / "sampler_indices_dict.pt", weights_only=True)
    for epoch, rows in order.items():
        for number, parts in enumerate(torch.load(folder / f"epoch_{epoch}.tar", weights_only=False)):
            chosen = rows[number * batch :][:batch]
            yield chosen, shown(parts, chosen, on_tensors(int)), parts[5].float()


# ---- EDC -----------------------------------------------------------------------------------------------


def read_edc(folder, epoch):
    """(rows, images, logits): crops of tensors, whose boxes are rounded.

    `ShufflePatchesWithIndex` cuts a tensor into strips, orders them by the last part, and joins those it had cut.
    """
    for number in range(len(list((folder / f"epoch_{epoch}").iterdir()))):
        parts = torch.load(folder / f"epoch_{epoch}" / f"batch_{number}.tar", weights_only=False)
        rows = parts[6].tolist()
        yield rows, shown(parts, rows, on_tensors(round)), parts[5].float()
