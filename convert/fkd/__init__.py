"""`python -m convert fkd`: released soft labels become one safetensors file an epoch."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.fkd import INFO, StoredBatches, StoredInfo, problems, save_epoch, save_info, set_digest
from gift_jax.errors import GiftError
from gift_jax.runtime.files import written_whole
from gift_jax.runtime.progress import display
from gift_jax.sources import hub
from gift_jax.sources.source import Source

from ..distilled import open_distilled
from ..distilled.data_pt import load_torch
from .files import Place, find_batches, open_files, size_on_disk
from .order import sampler_order
from .records import Record, join, parse

# Labels of other images agree with these by chance, a teacher's labels far more often.
_LEAST_AGREEMENT = 1.5  # times chance
_BYTES_BESIDE_LOGITS = 17  # of an image


def convert_fkd(source: Path, *, distilled: Path, out: Path, epochs: int | None, seed: int) -> StoredInfo:
    """Import `epoch_*/batch_*.tar` files, in a directory or an archive, for a distilled set.

    Args: source, also a place on the Hub; epochs, how many to import, the first ones (None: all); seed, of the sampler
    where the images' order is not stored.
    Raises: GiftError if anything does not fit, or if the labels are not of these images.
    """
    if out.exists() and not (out / INFO).is_file():
        raise GiftError(f"{out}: exists and is not a directory of stored soft labels; choose another --out")
    source = hub.local(source, "set")
    print(f"reads     {source}: {_gigabytes(size_on_disk(source))} on disk", flush=True)
    images = open_distilled(distilled)
    with contextlib.ExitStack() as stack:
        files = open_files(source, stack)
        places = find_batches(files, epochs)
        last = max(places.values())
        needed = (last.epoch + 1) * len(images.labels) * (2 * images.num_classes + _BYTES_BESIDE_LOGITS)
        print(f"writes    {out}: {_gigabytes(needed)}, {last.epoch + 1} epochs of {last.batch + 1} batches", flush=True)
        _check_space(out, needed)
        with written_whole(out) as temporary:
            temporary.mkdir()
            info = _import(files, places, images, temporary, seed)
            save_info(temporary, info)
    print(f"written   {out}: batches of {info.batch_size}, mixing {info.mix}, order {info.order}")
    return info


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.2f} GB"


def _check_space(out: Path, needed: int) -> None:
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if (free := shutil.disk_usage(parent).free) < needed:
        raise GiftError(f"{out}: needs {_gigabytes(needed)}, {_gigabytes(free)} are free; make room, or lower --epochs")


def _import(files: Source, places: Mapping[str, Place], images: DistilledSet, out: Path, seed: int) -> StoredInfo:
    """Write each epoch as soon as it is whole."""
    first, orders, count = None, None, len(images.labels)
    epochs, digest = 1 + max(place.epoch for place in places.values()), set_digest(images)
    for number, records in _epochs(files, places, images):
        where = f"{files.label}: epoch_{number}"
        if records[0].indices is None and orders is None:
            orders = sampler_order(count, epochs, seed)
        order = "as stored" if orders is None else f"of torch's RandomSampler, seed {seed}"
        info = StoredInfo(
            dataset=images.dataset,
            num_images=count,
            num_classes=images.num_classes,
            image_size=images.images.shape[1],
            epochs=epochs,
            batch_size=_batch_size(where, records, count),
            mix=_kind(where, records),
            distilled=digest,
            order=order,
            source=hub.title(files.path),
        )
        first = first or info
        if info != first:
            raise GiftError(f"{where} is not like the first epoch that was read; give the files of one release")
        flat = join(records, None if orders is None else orders[number])
        for problem in problems(flat, info):
            raise GiftError(f"{where}: {problem}; download it again, or check --distilled")
        _check_agreement(where, flat, images, info)
        save_epoch(out, number, flat)
    assert first is not None  # there is an epoch at least
    return first


def _epochs(files: Source, places: Mapping[str, Place], images: DistilledSet) -> Iterator[tuple[int, Sequence[Record]]]:
    """Epochs as they become whole: an archive may hold files in any order."""
    steps = 1 + max(place.batch for place in places.values())
    pending: dict[int, dict[int, Record]] = {}
    with display("reading", len(places), "batches") as advance:
        for name, place in places.items():
            record = parse(f"{files.label}: {name!r}", load_torch(files, name), images)
            pending.setdefault(place.epoch, {})[place.batch] = record
            if len(pending[place.epoch]) == steps:
                yield place.epoch, [record for _, record in sorted(pending.pop(place.epoch).items())]
            advance(1, "")


def _batch_size(where: str, records: Sequence[Record], count: int) -> int:
    sizes = [len(record.flips) for record in records]
    if sum(sizes) != count:
        raise GiftError(f"{where} has labels of {sum(sizes)} images, the set has {count}; give the whole set")
    if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
        raise GiftError(f"{where} has batches of {sorted(set(sizes))} images; only the last may be smaller")
    return sizes[0]


def _kind(where: str, records: Sequence[Record]) -> str:
    kinds = {(record.mix, record.indices is None) for record in records}
    if len(kinds) > 1:
        raise GiftError(f"{where} has batches of several kinds; give the files of one release")
    return kinds.pop()[0]


def _check_agreement(where: str, flat: StoredBatches, images: DistilledSet, info: StoredInfo) -> None:
    """Whether the top class is the image's or its partner's more often than by chance. Raises: GiftError."""
    starts = np.arange(info.num_images) // info.batch_size * info.batch_size
    own, top = images.labels[flat.indices], flat.logits.argmax(1)
    agreement = np.mean((top == own) | (top == own[starts + flat.partners]))
    chance = (1 if info.mix == "none" else 2) / info.num_classes
    if agreement < _LEAST_AGREEMENT * chance:
        raise GiftError(
            f"{where}: the logits' top class is the image's or its partner's for {100 * agreement:.1f} % of the "
            f"images, about what chance gives ({100 * chance:.1f} %); give the set in the authors' order, or --seed"
        )
