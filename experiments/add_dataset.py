"""Describe a dataset of your own, so that every command knows it by its name.

Question: which classes, sizes and statistics does it have?
Command: `python -m experiments.add_dataset flowers --data flowers/train --test-data flowers/test --image-size 64`.
A source is a directory of class folders, IDX files (MNIST's format, gzipped or not), CIFAR's own files, or an `.npz` of
images and labels. What is found goes to `data/NAME/dataset.json`; then `--dataset NAME` works everywhere, and
`train_teacher` and `evaluate` find the images by themselves.
"""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rich
import tyro
from PIL import Image
from rich.table import Table

from gift_jax import GiftError
from gift_jax.data.arrays import has_test_images
from gift_jax.data.datasets import DATASETS, DIRECTORY, FILE, DatasetSpec, Normalisation, write_dataset
from gift_jax.data.evaluation import read_arrays
from gift_jax.data.image_folder import read_image_folder
from gift_jax.data.records import Records, decoded
from gift_jax.data.transforms import make_transform, open_image
from gift_jax.runtime import cli, progress
from gift_jax.runtime.files import written_whole

SHOWN_CLASSES, SHOWN_IMAGES = 10, 10
CELL = 64  # pixels of an image on the contact sheet
LISTED_CLASSES = 20


@dataclasses.dataclass(frozen=True)
class AddDataset:
    """A dataset of one's own.

    Args:
        name: what to call it.
        data: its training images.
        test_data: its test images; by default where the training images are, if both splits lie there.
        image_size: side in pixels of a network's input; needed where images differ in size.
        channels: 1 for grey, 3 for colour; by default as the images are.
        mirrors: whether a mirrored image is still of its class; --no-mirrors for digits, text and signs.
        class_order: file with a class folder per line, in the order of class ids.
    """

    name: tyro.conf.Positional[str]
    data: Path
    test_data: Path | None = None
    image_size: int | None = None
    channels: int | None = None
    mirrors: bool = True
    class_order: Path | None = None

    def __post_init__(self) -> None:
        if self.image_size is not None and self.image_size < 1:
            raise GiftError(f"--image-size must be 1 or more, not {self.image_size}")
        if self.channels not in (None, 1, 3):
            raise GiftError(f"--channels must be 1 or 3, not {self.channels}")


class Found(NamedTuple):
    """What the training images are: sizes as (width, height), modes of Pillow, images per class."""

    sizes: set[tuple[int, int]]
    modes: set[str]
    counts: np.ndarray


def list_images(config: AddDataset, source: Path, *, train: bool) -> Records:
    """The images of a split, none of which is decoded yet. Raises: GiftError about what is not there."""
    if not source.exists():
        raise GiftError(f"{source}: no such file or directory; give the images of {config.name}")
    records = read_arrays(source, train=train)
    if records is None and not source.is_dir():
        raise GiftError(f"{source}: is no directory of class folders, IDX files, CIFAR's files or .npz")
    records = records or read_image_folder(source, None, config.class_order)
    if not len(records.labels):
        raise GiftError(f"{source}: has no class folders of images, IDX files or CIFAR's files")
    return records


def survey(records: Records) -> Found:
    """Sizes, modes and counts, from the images' headers. Raises: GiftError about a damaged image, or an empty class."""
    sizes, modes = set(), set()
    with progress.display("looking", len(records.labels), "images") as advance:
        for row in range(len(records.labels)):
            content = records.read(row)
            try:
                with Image.open(io.BytesIO(content)) as image:
                    sizes.add(image.size)
                    modes.add(image.mode)
            except (OSError, ValueError, Image.DecompressionBombError):
                open_image(content, records.where(row), 3)  # which says what is wrong
            advance(1, "")
    counts = np.bincount(records.labels, minlength=len(records.class_names))
    if not counts.all():
        empty = records.class_names[int(np.argmin(counts))]
        raise GiftError(f"the class {empty!r} has no training images; add some, or remove the class")
    return Found(sizes, modes, counts)


def choose_size(config: AddDataset, found: Found) -> tuple[int, tuple[int, int] | None]:
    """The input's side, and how images are resized to it. Raises: GiftError where the images do not tell."""
    sides = {side for size in found.sizes for side in size}
    if len(sides) == 1 and config.image_size in (None, *sides):
        return sides.pop(), None
    if config.image_size is None:
        raise GiftError(
            f"the images of {config.name} have sides of {min(sides)} to {max(sides)} pixels; give --image-size, to "
            "which the shorter side is scaled before the middle is cut out"
        )
    return config.image_size, (1, 1)


def measure(records: Records, spec: DatasetSpec) -> Normalisation:
    """Mean and standard deviation of each channel of [0, 1] pixels, over all training images as a network sees them."""
    sums, count = np.zeros((2, spec.channels)), 0
    with progress.display("measuring", len(records.labels), "images") as advance:
        for image in decoded(records, make_transform(spec, spec.image_size)):
            pixels = image.reshape(-1, spec.channels).astype(np.float64) / 255
            sums += pixels.sum(0), (pixels**2).sum(0)
            count += len(pixels)
            advance(1, "")
    mean, square = sums / count
    std = np.sqrt(np.maximum(square - mean**2, 0))
    if not std.all():
        raise GiftError("all training images are of one colour; check --data")
    return Normalisation(tuple(map(float, mean.round(4))), tuple(map(float, std.round(4))))


def find_test(data: Path) -> Path | None:
    """Where the training images are, if files there keep test images apart from them; else None."""
    if data.suffix == ".npz":
        return data if has_test_images(data) else None
    return data if read_arrays(data, train=True) is not None else None


def describe(config: AddDataset, records: Records, found: Found) -> DatasetSpec:
    """The dataset as it is written; of one in the table, what the table says, and where its images are."""
    test = config.test_data or find_test(config.data)
    places = {"train": str(config.data.resolve()), "test": str(test.resolve()) if test else None}
    if (known := DATASETS.get(config.name)) is not None:
        return dataclasses.replace(known, **places)
    size, resize = choose_size(config, found)
    channels = config.channels or (1 if found.modes <= {"1", "L", "I;16", "I"} else 3)
    spec = DatasetSpec(
        config.name,
        len(records.class_names),
        size,
        Normalisation((0.5,) * channels, (0.5,) * channels),
        f"described from {config.data}",
        channels=channels,
        resize=resize,
        mirrors=config.mirrors,
        class_names=records.class_names,
        **places,
    )
    return dataclasses.replace(spec, normalisation=measure(records, spec))


def check_known(spec: DatasetSpec, records: Records, found: Found) -> None:
    """Refuse images that are not of the dataset in the table. Raises: GiftError."""
    if len(records.class_names) != spec.num_classes:
        count = len(records.class_names)
        raise GiftError(
            f"{spec.name} has {spec.num_classes} classes, but {count} are here; give the dataset another name"
        )
    if spec.resize is None and found.sizes != {(spec.image_size, spec.image_size)}:
        raise GiftError(f"{spec.name} has images of {spec.image_size} pixels; give the dataset another name")


def check_test(config: AddDataset, spec: DatasetSpec) -> int | None:
    """How many test images there are; None without a source. Raises: GiftError if they are of other classes."""
    if spec.test is None:
        return None
    source = Path(spec.test)
    records = read_arrays(source, train=False) or read_image_folder(source, spec, config.class_order)
    if len(records.class_names) > spec.num_classes:
        raise GiftError(
            f"{source}: has {len(records.class_names)} classes, but the training images have {spec.num_classes}"
        )
    return len(records.labels)


def write_sheet(path: Path, records: Records, spec: DatasetSpec) -> None:
    """A picture of the first images of the first classes, a class per row."""
    transform = make_transform(spec, spec.image_size)
    sheet = Image.new("RGB", (CELL * SHOWN_IMAGES, CELL * min(SHOWN_CLASSES, spec.num_classes)), "white")
    for label in range(min(SHOWN_CLASSES, spec.num_classes)):
        for column, row in enumerate(np.flatnonzero(records.labels == label)[:SHOWN_IMAGES]):
            pixels = transform(records.read(int(row)), records.where(int(row)))
            image = Image.fromarray(pixels[..., 0] if spec.channels == 1 else pixels).convert("RGB")
            sheet.paste(image.resize((CELL, CELL), Image.Resampling.NEAREST), (CELL * column, CELL * label))
    with written_whole(path) as temporary:
        sheet.save(temporary, "PNG")


def print_found(spec: DatasetSpec, found: Found, test: int | None) -> None:
    """Print what was found, and a table of the classes."""
    sizes = "of one size" if len(found.sizes) == 1 else f"of {len(found.sizes)} sizes"
    counts = f"{found.counts.min()} to {found.counts.max()} per class"
    facts = {
        "classes": f"{spec.num_classes}",
        "training images": f"{found.counts.sum()}, {counts}, {sizes}",
        "test images": "none" if test is None else str(test),
        "input": f"{spec.image_size} x {spec.image_size} pixels, {spec.channels} channel{'s' * (spec.channels > 1)}",
        "mean": " ".join(f"{value:.4f}" for value in spec.normalisation.mean),
        "std": " ".join(f"{value:.4f}" for value in spec.normalisation.std),
        "mirrors": "images may be flipped" if spec.mirrors else "images are never flipped",
    }
    for name, value in facts.items():
        print(f"{name:<16}{value}")
    table = Table("class", "name", "images")
    for label in range(min(spec.num_classes, LISTED_CLASSES)):
        names = spec.class_names or tuple(map(str, range(spec.num_classes)))
        table.add_row(str(label), names[label], str(found.counts[label]))
    rich.print(table)
    if spec.num_classes > LISTED_CLASSES:
        print(f"and {spec.num_classes - LISTED_CLASSES} more")


def next_commands(name: str) -> Iterator[str]:
    """What one does with a new dataset."""
    teacher, distilled = f"teachers/{name}_conv3", f"sets/{name}_ipc10.safetensors"
    yield f"python -m experiments.train_teacher --dataset {name} --model conv3 --epochs 30 --out {teacher}"
    yield f"python -m experiments.distill_rded --teacher {teacher} --ipc 10 --out {distilled}"
    options = f"--method rded --dataset {name} --model conv3 --ipc 10 --distilled {distilled} --teacher {teacher}"
    yield f"python -m experiments.evaluate {options}"
    yield f"python -m experiments.loss_comparison {options.replace('--method ', '--methods ')}"


def main(config: AddDataset) -> None:
    """Look, measure, write, and say what comes next."""
    records = list_images(config, config.data, train=True)
    found = survey(records)
    spec = describe(config, records, found)
    if config.name in DATASETS:
        check_known(spec, records, found)
    test = check_test(config, spec)
    path = DIRECTORY / spec.name / FILE
    write_dataset(path, spec)
    write_sheet(path.with_name("sheet.png"), records, spec)
    print_found(spec, found, test)
    print(f"written   {path}, {path.with_name('sheet.png')}\n\nnext:")
    for command in next_commands(spec.name):
        print(cli.spoken(command))


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.add_dataset")
