"""Describe a dataset of your own, so that every command knows it by its name.

Question: which classes, sizes and statistics does it have?
Command: `python -m experiments.add_dataset flowers --data flowers/train --test-data flowers/test --image-size 64`.
A source is a directory of class folders, a flat one with a list of labels, IDX files (MNIST's format, gzipped or not),
CIFAR's own files, Parquet shards, NumPy arrays, or a zip or tar of any of these. What is found goes to
`data/NAME/dataset.json`; then `--dataset NAME` works everywhere, and `train_teacher` and `evaluate` find the images by
themselves.
"""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rich
import tyro
from PIL import Image, ImageDraw
from rich.table import Table

from gift_jax import GiftError
from gift_jax.data.datasets import DATASETS, DIRECTORY, FILE, DatasetSpec, check_name, known_spelling, write_dataset
from gift_jax.data.evaluation import DIGITS, load_records
from gift_jax.data.survey import Survey, count_shared, survey_images
from gift_jax.data.transforms import make_transform
from gift_jax.plan import work
from gift_jax.readers.formats import has_test_images, read_images
from gift_jax.readers.records import Records
from gift_jax.readers.request import NO_READING_OPTIONS, SourceOptions
from gift_jax.recipes import make_recipe
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting
from gift_jax.runtime import cli
from gift_jax.runtime.files import atomic_write
from gift_jax.runtime.options import Count, Source, check_numbers

from .common import teacher_training
from .common.sources import known_images

SHOWN_CLASSES, SHOWN_IMAGES = 10, 10
CELL, NAMES = 64, 140  # pixels of an image on the contact sheet, and of the names beside them
LISTED_CLASSES = 20


@dataclasses.dataclass(frozen=True)
class AddDataset:
    """A dataset of one's own.

    Args:
        name: what to call it.
        data: its training images.
        test_data: its test images; by default where the training images are, if both splits lie there.
        split: of the training images, where the source has several and none of them is called train.
        test_split: of the test images, by default test, or else validation.
        hold_out: share of each class's training images, evenly spread over its files, that becomes its test images and
            is never trained on, such as 0.2; for sources without test images.
        labels: list of labels for training images in one flat folder, `name label` a line.
        test_labels: likewise for test images; or a number a line, in the images' order, with class_order.
        label_column: which of several label columns of Parquet shards, such as fine_label.
        class_order: file with a class folder per line, in the order of class ids.
        image_size: side in pixels of a network's input; needed where images differ in size.
        channels: 1 for grey, 3 for colour; by default as the images are.
        mirrors: whether a mirrored image is still of its class; --no-mirrors for digits, text and signs.
    """

    name: tyro.conf.Positional[str]
    data: Source
    test_data: Source | None = None
    split: str | None = None
    test_split: str | None = None
    hold_out: float | None = None
    labels: Source | None = None
    test_labels: Source | None = None
    label_column: str | None = None
    class_order: Source | None = None
    image_size: Count | None = None
    channels: int | None = None
    mirrors: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", known_spelling(self.name))
        check_name(self.name)
        if self.name == DIGITS:
            raise GiftError(f"{DIGITS}: these images come with scikit-learn; give the dataset another name")
        check_numbers(self)
        if self.channels not in (None, 1, 3):
            raise GiftError(f"--channels must be 1 or 3, not {self.channels}")
        if self.hold_out is not None:
            if not 0 < self.hold_out < 1:
                raise GiftError(f"--hold-out must be a share between 0 and 1, not {self.hold_out:g}")
            for option in ("test_data", "test_split", "test_labels"):
                if getattr(self, option):
                    raise GiftError(f"--hold-out and --{option.replace('_', '-')} both say what to test on; give one")

    def reading(self, *, train: bool) -> SourceOptions:
        """What the options say about a split's source."""
        own = train or self.hold_out is not None
        split, labels = (self.split, self.labels) if own else (self.test_split, self.test_labels)
        listed, order = (path and str(path.resolve()) for path in (labels, self.class_order))
        return SourceOptions(split, listed, self.label_column, order, self.hold_out)


def choose_size(config: AddDataset, found: Survey) -> tuple[int, tuple[int, int] | None]:
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


def describe(config: AddDataset, records: Records, known: DatasetSpec | None) -> tuple[DatasetSpec, Survey]:
    """The dataset as it is written, of one in the table with its own figures, and what its training images are."""
    has_test = config.hold_out is not None or has_test_images(config.data)
    test = config.test_data or (config.data if has_test else None)
    places = {
        "train": str(config.data.resolve()),
        "test": str(test.resolve()) if test else None,
        "train_reading": config.reading(train=True),
        "test_reading": config.reading(train=False) if test else NO_READING_OPTIONS,
    }
    found = survey_images(records, side=config.image_size, channels=config.channels, measured=known is None)
    if known is not None:
        return dataclasses.replace(known, **places), found
    size, resize = choose_size(config, found)
    assert found.normalisation is not None
    spec = DatasetSpec(
        config.name,
        len(records.class_names),
        size,
        found.normalisation,
        f"described from {config.data}",
        channels=len(found.normalisation.mean),
        resize=resize,
        mirrors=config.mirrors,
        class_names=records.class_names,
        **places,
    )
    return spec, found


def check_known(spec: DatasetSpec, records: Records, found: Survey) -> None:
    """Refuse images that are not of the dataset in the table. Raises: GiftError."""
    mend = "give the dataset another name"
    if (count := len(records.class_names)) != spec.num_classes:
        raise GiftError(f"{spec.name} has {spec.num_classes} classes, but {count} are here; {mend}")
    if spec.resize is None and found.sizes != {(spec.image_size, spec.image_size)}:
        raise GiftError(f"{spec.name} has images of {spec.image_size} pixels; {mend}")


def write_sheet(path: Path, records: Records, spec: DatasetSpec) -> None:
    """A picture of the first images of the first classes, a class per row with its number and name."""
    transform = make_transform(spec, spec.image_size)
    sheet = Image.new("RGB", (NAMES + CELL * SHOWN_IMAGES, CELL * min(SHOWN_CLASSES, spec.num_classes)), "white")
    pen = ImageDraw.Draw(sheet)
    for label in range(min(SHOWN_CLASSES, spec.num_classes)):
        pen.text((6, CELL * label + CELL // 2), f"{label} {records.class_names[label]}", "black", anchor="lm")
        for column, row in enumerate(np.flatnonzero(records.labels == label)[:SHOWN_IMAGES]):
            pixels = transform(records.read(int(row)), records.where(int(row)))
            image = Image.fromarray(pixels[..., 0] if spec.channels == 1 else pixels).convert("RGB")
            sheet.paste(image.resize((CELL, CELL), Image.Resampling.NEAREST), (NAMES + CELL * column, CELL * label))
    with atomic_write(path) as temporary:
        sheet.save(temporary, "PNG")


def print_found(spec: DatasetSpec, found: Survey, train: Records, test: Records | None) -> None:
    """Print what was found, and a table of the classes."""
    sizes = "of one size" if len(found.sizes) == 1 else f"of {len(found.sizes)} sizes"
    least, most = found.counts.min(), found.counts.max()
    counts = f"{least} per class" if least == most else f"{least} to {most} per class"
    facts = {
        "classes": f"{spec.num_classes}",
        "training images": f"{found.counts.sum()}, {counts}, {sizes}; {train.note}",
        "test images": "none" if test is None else f"{len(test.labels)}; {test.note}",
        "input": f"{spec.image_size} x {spec.image_size} pixels, {spec.channels} channel{'s' * (spec.channels > 1)}",
        "mean": " ".join(f"{value:.4f}" for value in spec.normalisation.mean),
        "std": " ".join(f"{value:.4f}" for value in spec.normalisation.std),
        "mirrors": "images may be flipped" if spec.mirrors else "images are never flipped",
    }
    for name, value in facts.items():
        print(f"{name:<16}{value}")
    table = Table("class", "name", "images")
    for label in range(min(spec.num_classes, LISTED_CLASSES)):
        table.add_row(str(label), train.class_names[label], str(found.counts[label]))
    rich.print(table)
    if spec.num_classes > LISTED_CLASSES:
        print(f"and {spec.num_classes - LISTED_CLASSES} more")


def next_commands(spec: DatasetSpec, images: int) -> Iterator[tuple[str, str]]:
    """What one does with a new dataset of so many training images, and how much work it is."""
    name, model = spec.name, "conv3"
    test_data, data = ("", "") if known_images(None, name, "val") else (" --test-data DIR", " --data DIR")
    teacher, distilled = f"teachers/{name}_{model}", f"sets/{name}_ipc10.safetensors"
    training = teacher_training.make_recipe(teacher_training.TrainTeacher(name, model, Path(teacher)), images)
    command = f"python -m experiments.train_teacher --dataset {name} --model {model}{test_data} --out {teacher}"
    yield command, work_of(training, images)
    yield f"python -m experiments.distill_rded --teacher {teacher} --ipc 10 --out {distilled}", "minutes, no training"
    options = (
        f"--method rded --dataset {name} --model {model} --ipc 10 --distilled {distilled} --teacher {teacher}{data}"
    )
    recipe, count = make_recipe("gift", Setting("rded", name, model, 10)), 10 * spec.num_classes
    yield f"python -m experiments.evaluate {options}", f"students of {work_of(recipe, count)}"
    command = f"python -m experiments.loss_comparison {options.replace('--method ', '--methods ')}"
    yield command, "with --dry-run it says how long it takes"


def work_of(recipe: Recipe, images: int) -> str:
    """How much training a recipe is on so many images."""
    batch = recipe.resolve_batch_size(images)
    return work(recipe.epochs, -(-images // batch), batch)


def main(config: AddDataset) -> None:
    """Read, measure, write, and say what comes next."""
    known = DATASETS.get(config.name)
    try:
        records = read_images(config.data, train=True, reading=config.reading(train=True), spec=known)
    except GiftError as error:  # which calls things as commands with --dataset do
        text = str(error).replace("`dataset` and the path", "NAME and --data").replace("`dataset`", "NAME")
        raise GiftError(text) from None
    if len(records.class_names) < 2:
        raise GiftError(
            f"{config.data}: has one class, {records.class_names[0]!r}, and students tell classes apart; give the "
            "directory of all class folders"
        )
    spec, found = describe(config, records, known)
    if known:
        check_known(spec, records, found)
    test = load_records(spec, source=None, train=False) if spec.test else None
    if test is not None and (shared := count_shared(found, test))[0]:
        count = "{} of {}".format(*shared)
        print(f"warning: {count} test images are training images too; accuracies on them are too high", file=sys.stderr)
    if found.rotated:
        print(f"warning: {found.rotated} images have an EXIF orientation, which is ignored; turn them", file=sys.stderr)
    path = DIRECTORY / spec.name / FILE
    write_dataset(path, spec)
    write_sheet(path.with_name("sheet.png"), records, spec)
    print_found(spec, found, records, test)
    if known_images(None, spec.name, "val") is None:
        remedy = "run this again with --test-data DIR, or hold some out of the training images with --hold-out 0.2"
        print(f"warning: {spec.name} has no test images; {remedy} (after `rm {path}`)", file=sys.stderr)
    print(f"written   {path}, {path.with_name('sheet.png')}\n\nnext:")
    for command, cost in next_commands(spec, len(records.labels)):
        print(cli.with_installed_command_names(f"{command}  # {cost}"))


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.add_dataset")
