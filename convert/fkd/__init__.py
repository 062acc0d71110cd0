"""`python -m convert fkd`: released soft labels become one safetensors file an epoch."""

import dataclasses
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.stored_info import StoredBatches, StoredInfo, problems
from gift_jax.data.stored_labels import INFO, files_digest, save_epoch, save_info, set_digest
from gift_jax.errors import GiftError
from gift_jax.readers import hub
from gift_jax.readers.formats import open_files
from gift_jax.readers.source import Source, check_file
from gift_jax.runtime.files import atomic_write, same_content
from gift_jax.runtime.progress import display

from ..distilled import open_distilled
from ..distilled.data_pt import load_torch
from ..request import LabelRequest
from .layouts import Bank, find_bank
from .records import Record, join, parse

# Labels of other images agree with these by chance, a teacher's labels far more often.
_LEAST_AGREEMENT = 1.5  # times chance
_BYTES_BESIDE_LOGITS = 17  # of an image


class _Reader(NamedTuple):
    files: Source
    bank: Bank
    images: DistilledSet
    temperature: float  # of probabilities; 0: logits

    def records(self, name: str) -> list[Record]:
        """The batches in a file. Raises: GiftError."""
        label, content = f"{self.files.label}: {name!r}", load_torch(self.files, name)
        if not self.bank.epoch_per_file:
            return [parse(label, content, self.images, self.temperature)]
        if not isinstance(content, list | tuple) or not content:
            raise GiftError(f"{label}: is no list of an epoch's batches; give the file of one epoch of HALD's labels")
        return [
            parse(f"{label}, batch {place}", part, self.images, self.temperature) for place, part in enumerate(content)
        ]


def convert_fkd(request: LabelRequest) -> StoredInfo:
    """Import released soft labels, in a directory or an archive, for a distilled set."""
    out = request.out
    if out.exists() and not (out / INFO).is_file():
        raise GiftError(f"{out}: exists and is not a directory of stored soft labels; choose another --out")
    source = hub.local(request.source, "set")
    images = open_distilled(request.distilled)
    if (files := open_files(source)) is None:
        raise GiftError(f"{source}: neither a directory nor a zip or tar archive; give the released one or its folder")
    bank = find_bank(files, request.epochs, len(images.labels))
    if request.centre and not bank.epoch_per_file:
        raise GiftError(f"{source}: its labels are not HALD's probabilities; drop --centre")
    reader = _Reader(files, bank, images, request.temperature if bank.epoch_per_file else 0.0)
    _announce(reader, out)
    done = "exists " if out.exists() else "written"
    with atomic_write(out, keep=same_content) as temporary:
        temporary.mkdir()
        info = _import(reader, temporary, request)
        info = dataclasses.replace(info, content=files_digest(temporary))
        save_info(temporary, info)
    print(f"{done:<10}{out}: batches of {info.batch_size}, mixing {info.mix}, order {info.order}")
    print(f"labels    {info.describe()}")
    return info


def sampler_order(count: int, epochs: int, seed: int) -> np.ndarray:
    """Rows by epoch, int32 [epochs, count], of torch's `RandomSampler` over one generator with this seed.

    It draws a second permutation after each epoch, of which it shows none: another epoch's order follows from both.
    """
    generator = torch.Generator().manual_seed(seed)
    orders = np.empty((epochs, count), np.int32)
    for order in orders:
        order[:] = torch.randperm(count, generator=generator).numpy()
        torch.randperm(count, generator=generator)
    return orders


def _announce(reader: _Reader, out: Path) -> None:
    """Say how much is read and, by a first file, how much is written. Raises: GiftError if there is no room for it."""
    places, epochs = reader.bank.places, reader.bank.epochs
    records = reader.records(next(iter(places)))
    first, batches = records[0].batch, len(places) * len(records)
    source, sizes = reader.files.path, reader.files.sizes
    size = sum(sizes.values()) if source.is_dir() else check_file(source)
    print(f"reads     {source}: {_gigabytes(size)} on disk", flush=True)
    image = _BYTES_BESIDE_LOGITS + sum(
        array.nbytes // len(first.flips) for array in (first.logits, first.classes, first.weights) if array is not None
    )
    needed = image * min(batches * len(first.flips), epochs * len(reader.images.labels))
    steps = max(place.batch for place in places.values()) + len(records)
    print(f"writes    {out}: {_gigabytes(needed)}, {epochs} epochs of {steps} batches", flush=True)
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if (free := shutil.disk_usage(parent).free) < needed:
        raise GiftError(f"{out}: needs {_gigabytes(needed)}, {_gigabytes(free)} are free; make room, or lower --epochs")


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.2f} GB"


def _import(reader: _Reader, out: Path, request: LabelRequest) -> StoredInfo:
    """Write each epoch as soon as it is whole."""
    images, bank = reader.images, reader.bank
    epochs, digest = bank.epochs, set_digest(images)
    draw = request.draw or bank.draw
    pool = bank.pruned or draw != "stored"
    order, told, first, batches = bank.order, "as stored", None, 0
    for number, records in _epochs(reader):
        where = f"{reader.files.label}: epoch_{number}"
        if order is None and records[0].batch.indices is None:
            order = dict(enumerate(sampler_order(len(images.labels), epochs, request.seed)))
            told = f"of torch's RandomSampler, seed {request.seed}"
        if order is not None and number not in order:
            raise GiftError(f"{where}: the list of images lacks this epoch; download it again")
        kinds = [(record.settings(), record.batch.indices is None) for record in records]
        if any(kind != kinds[0] for kind in kinds):
            raise GiftError(f"{where} has batches of several kinds; give the files of one release")
        info = StoredInfo(
            dataset=images.dataset,
            num_images=len(images.labels),
            num_classes=images.num_classes,
            image_size=images.images.shape[1],
            epochs=epochs,
            batch_size=max(record.size for record in records),
            distilled=digest,
            order=told,
            source=hub.title(reader.files.path),
            temperature=reader.temperature,
            centred=request.centre,
            draw=draw,
            drop_last=bank.pruned or draw in ("without_replacement", "in_turns"),
            **kinds[0][0],
        )
        first = first or info
        if info != first:
            raise GiftError(f"{where} is not like the first epoch that was read; give the files of one release")
        records, rows = _fitted(where, records, None if order is None else order[number], info)
        batches += len(records)
        epoch = join(records, rows)
        for problem in problems(epoch, dataclasses.replace(info, batches=int(pool)), len(records)):
            raise GiftError(f"{where}: {problem}; download it again, or check --distilled")
        _check_agreement(where, epoch, images, info)
        save_epoch(out, number, epoch)
    assert first is not None  # there is an epoch at least
    info = dataclasses.replace(first, batches=batches if pool else 0)
    if not info.whole_epochs:
        raise GiftError(
            f"{reader.files.label}: has {batches} batches, an epoch of {info.num_images} images {info.steps}; give the "
            "whole bank"
        )
    return info


def _epochs(reader: _Reader) -> Iterator[tuple[int, Sequence[Record]]]:
    """Epochs as they become whole: an archive may hold files in any order."""
    places = reader.bank.places
    left = Counter(place.epoch for place in places.values())
    pending: defaultdict[int, dict[int, list[Record]]] = defaultdict(dict)
    with display("reading", len(places), "epochs" if reader.bank.epoch_per_file else "batches") as advance:
        for name, (epoch, batch) in places.items():
            pending[epoch][batch] = reader.records(name)
            left[epoch] -= 1
            if not left[epoch]:
                yield epoch, [record for _, part in sorted(pending.pop(epoch).items()) for record in part]
            advance(1, "")


def _fitted(
    where: str, records: Sequence[Record], order: np.ndarray | None, info: StoredInfo
) -> tuple[Sequence[Record], np.ndarray | None]:
    """An epoch's batches of the right sizes and their rows; without the smaller last one if it is left out."""
    sizes, count, size = [record.size for record in records], info.num_images, info.batch_size
    if any(length != size for length in sizes[:-1]):
        raise GiftError(f"{where} has batches of {sorted(set(sizes))} images; only the last may be smaller")
    listed = sum(sizes) if order is None else len(order)
    if listed != sum(sizes) and info.draw != "stored":
        raise GiftError(f"{where} has labels of {sum(sizes)} images, the list of images {listed}; download it again")
    if info.drop_last:
        full = len(records) - (sizes[-1] < size)
        return records[:full], order if order is None else order[: full * size]
    if sum(sizes) != count:
        raise GiftError(f"{where} has labels of {sum(sizes)} images, the set has {count}; give the whole set")
    return records, order


def _check_agreement(where: str, epoch: StoredBatches, images: DistilledSet, info: StoredInfo) -> None:
    """Whether the top class is the image's or its partner's more often than by chance. Raises: GiftError."""
    starts = np.arange(len(epoch.indices)) // info.batch_size * info.batch_size
    own, top = images.labels[epoch.indices], epoch.logits.argmax(1)
    if epoch.classes is not None:
        top = np.take_along_axis(epoch.classes, top[:, None], axis=1)[:, 0]
    agreement = np.mean((top == own) | (top == own[starts + epoch.partners]))
    chance = (1 if info.mix == "none" else 2) / info.num_classes
    if agreement < _LEAST_AGREEMENT * chance:
        raise GiftError(
            f"{where}: the logits' top class is the image's or its partner's for {100 * agreement:.1f} % of the "
            f"images, about what chance gives ({100 * chance:.1f} %); give the set in the authors' order, or --seed"
        )
