"""Make a distilled set with RDED from real images and a teacher.

Question: what does a set that is made in minutes give? (RDED, CVPR 2024; its own sets are not published.)
Command: `python -m experiments.distill_rded --teacher TEACHER --data imagenet/train --ipc 10 --factor 2 --out SET`.
Classes are made one after another from 300 random images each, so that the dataset is never in memory as a whole;
a run that was stopped goes on where it was, and a set that exists is never replaced. Images are first resized and
cut square as test images are, of which RDED then takes its crops (the authors crop the uncut image).
"""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np

from gift_jax import GiftError, Teacher, rded, save_distilled
from gift_jax.data.digits import load_split
from gift_jax.data.evaluation import DIGITS, load_records
from gift_jax.runtime import cli, progress
from gift_jax.runtime.devices import announce
from gift_jax.runtime.files import atomic_write, os_errors_as_gift_error

from .common.options import GROUPS
from .common.real_images import Reader, reader
from .common.sources import find_images, open_teacher


@dataclasses.dataclass(frozen=True)
class DistillRDED:
    """Make an RDED set.

    Args:
        teacher: directory that `convert teacher` or train_teacher wrote, or hf://OWNER/NAME[@REVISION] that tells all.
        out: safetensors file to write.
        data: real training images, a directory of class folders, `tfds` or `tfds:DIR`; not needed for the digits.
        class_order: file of class folders by class id.
        ipc: images a class.
        factor: cells a side of each mosaic (2 for ImageNet and its subsets).
        num_crops: see `gift_jax.rded.RDED`.
        images_per_class: see `gift_jax.rded.RDED`.
        smallest_area: see `gift_jax.rded.RDED`.
        seed: of the choice of images and crops.
    """

    GROUPS = GROUPS

    teacher: Path
    out: Path
    data: str | None = None
    class_order: Path | None = None
    ipc: int = 10
    factor: int = 1
    num_crops: int = 5
    images_per_class: int = 300
    smallest_area: float = 0.08
    seed: int = 0

    @property
    def settings(self) -> rded.RDED:
        """Of the synthesis."""
        return rded.RDED(self.factor, self.num_crops, self.images_per_class, self.smallest_area)


def open_images(config: DistillRDED, teacher: Teacher) -> tuple[np.ndarray, str, Reader]:
    """Labels int32 [N] of the real images, a digest of their source, and a reader. Raises: GiftError."""
    info = teacher.info
    if info.dataset == DIGITS:
        split = load_split()
        return split.train_labels, DIGITS, lambda rows: split.train_images[rows]
    source = find_images(config.data, info.dataset, "train", "--data")
    records = load_records(info.dataset, source=source, class_order=config.class_order, train=True)
    digest = hashlib.sha256(records.digest.encode() + records.labels.tobytes()).hexdigest()
    return records.labels, digest, reader(records, info.dataset, info.image_size)


def parts_directory(config: DistillRDED, teacher: Teacher, digest: str) -> Path:
    """Where finished classes wait for the others: beside the set, by what decides them."""
    decides = (config.settings, config.ipc, config.seed, teacher.info.source_sha256, str(teacher.info.spec), digest)
    return config.out.with_name(f".{config.out.name}.{hashlib.sha256(repr(decides).encode()).hexdigest()[:12]}")


def make_class(path: Path, label: int, labels: np.ndarray, read: Reader, config: DistillRDED, teacher: Teacher) -> None:
    """Make one class and write it, whole or not at all; nothing to do if it is there."""
    if path.is_file():
        return
    rows = rded.choose_rows(labels, label, config.ipc, config.settings, config.seed)
    images = rded.synthesize_class(
        read(rows), label, teacher, ipc=config.ipc, settings=config.settings, seed=config.seed
    )
    with atomic_write(path) as temporary, os_errors_as_gift_error(path):
        np.save(temporary, images, allow_pickle=False)


def run(config: DistillRDED) -> None:
    """Make all classes that are missing, and the set of them."""
    if config.out.exists():
        raise GiftError(f"{config.out}: exists, and is not replaced; give another --out, or remove it yourself")
    if min(config.ipc, config.factor, config.num_crops, config.images_per_class) < 1:
        raise GiftError("--ipc, --factor, --num-crops and --images-per-class must be 1 or more")
    teacher = open_teacher(config.teacher)
    labels, digest, read = open_images(config, teacher)
    parts = parts_directory(config, teacher, digest)
    paths = [parts / f"{label:05d}.npy" for label in range(teacher.info.num_classes)]
    done = sum(path.is_file() for path in paths)
    if done:
        print(f"going on: {done} of {len(paths)} classes are there")
    with progress.display("distilling", len(paths), "classes") as advance:
        for label, path in enumerate(paths):
            make_class(path, label, labels, read, config, teacher)
            advance(1, f"class {label}")
    classes = [np.load(path, allow_pickle=False) for path in paths]
    distilled = rded.assemble(classes, teacher, config.settings, config.seed)
    save_distilled(config.out, distilled)
    shutil.rmtree(parts)
    print(f"written   {config.out}: {len(distilled.labels)} images of {len(labels)} real ones")


def main(config: DistillRDED) -> None:
    """Run the experiment."""
    announce()
    run(config)


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.distill_rded")
