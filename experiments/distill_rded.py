"""Make a distilled set with RDED from real images and a teacher.

Question: what does a set that is made in minutes give? (RDED, CVPR 2024; its own sets are not published.)
Command: `python -m experiments.distill_rded --teacher TEACHER --data imagenet/train --ipc 10 --factor 2 --out SET`.
Classes are made one after another, so that the dataset is never in memory as a whole; a run that was stopped goes on
where it was. Images are first resized and cut square as test images are (the authors crop the uncut image).
"""

import contextlib
import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np

from gift_jax import GiftError, Teacher, load_distilled, load_teacher, rded, save_distilled
from gift_jax.runtime import cli, progress
from gift_jax.runtime.devices import announce
from gift_jax.runtime.files import atomic_write, locked, os_errors_as_gift_error, refuse_to_replace
from gift_jax.runtime.options import Count, Dataset, Seed, Source, check_numbers
from gift_jax.training.identity import digest, random_identity

from .common.options import GROUPS, Images
from .common.real_images import RealImages, open_real
from .common.sources import find_images, teacher_directory

IDENTITY = "identity"  # in the provenance: what decides the set


@dataclasses.dataclass(frozen=True)
class DistillRDED:
    """Make an RDED set.

    Args:
        dataset: what is distilled, if the teacher's directory of the Hub does not tell; else it must be the teacher's.
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

    teacher: Source
    out: Path
    data: Images | None = None
    class_order: Source | None = None
    ipc: Count = 10
    factor: Count = 1
    num_crops: Count = 5
    images_per_class: Count = 300
    smallest_area: float = 0.08
    seed: Seed = 0
    dataset: Dataset | None = None

    @property
    def settings(self) -> rded.RDED:
        """Of the synthesis."""
        return rded.RDED(self.factor, self.num_crops, self.images_per_class, self.smallest_area)


def identify(config: DistillRDED, teacher: Teacher, real: RealImages) -> str:
    """Tells runs apart that make other sets."""
    info, weights = teacher.info, digest(teacher.params)
    decides = (config.settings, config.ipc, config.seed, weights, str(info.spec), info.normalisation, real.identity)
    return hashlib.sha256(repr((*decides, random_identity())).encode()).hexdigest()[:12]


def is_done(out: Path, identity: str) -> bool:
    """Whether the set is there. Raises: GiftError if something else is."""
    if not out.exists():
        return False
    made_by = None
    with contextlib.suppress(GiftError):
        made_by = load_distilled(out).provenance.get(IDENTITY)
    return made_by == identity or refuse_to_replace(out)


def make_classes(parts: Path, real: RealImages, config: DistillRDED, teacher: Teacher) -> list[np.ndarray]:
    """Make, in a directory, the classes that are missing there, each whole or not at all. Returns: all of them."""
    paths = [parts / f"{label:05d}.npy" for label in range(teacher.info.num_classes)]
    options = {"ipc": config.ipc, "settings": config.settings, "seed": config.seed}
    if done := sum(path.is_file() for path in paths):
        print(f"going on: {done} of {len(paths)} classes are there")
    with progress.display("distilling", len(paths), "classes") as advance:
        for label, path in enumerate(paths):
            if not path.is_file():
                rows = rded.choose_rows(real.labels, label, **options)
                images = rded.synthesize_class(real.read(rows), label, teacher, **options)
                with atomic_write(path) as temporary, os_errors_as_gift_error(path):
                    np.save(temporary, images, allow_pickle=False)
            advance(1, f"class {label}")
    return [np.load(path, allow_pickle=False) for path in paths]


def main(config: DistillRDED) -> None:
    """Make all classes that are missing, and the set of them."""
    announce()
    check_numbers(config)
    settings = config.settings  # which refuses mistakes before anything is read
    teacher = load_teacher(teacher_directory(config.teacher, config.dataset))
    if config.dataset not in (None, teacher.info.dataset):
        raise GiftError(f"{config.teacher}: is a teacher of {teacher.info.dataset}, not of {config.dataset}")
    if settings.factor > teacher.info.image_size:
        raise GiftError(f"--factor must be at most {teacher.info.image_size}, the pixels of a side of the images")
    source = find_images(config.data, teacher.info.dataset, "train", "--data")
    real = open_real(teacher.info.dataset, source, teacher.info.image_size, config.class_order)
    identity = identify(config, teacher, real)
    if is_done(config.out, identity):
        print(f"exists    {config.out}: made with the same settings from the same images")
        return
    # Where finished classes wait for the others: beside the set.
    parts = config.out.with_name(f".{config.out.name}.{identity}")
    with locked(config.out, "another process is making a set here"):
        classes = make_classes(parts, real, config, teacher)
        distilled = rded.assemble(classes, teacher, settings, config.seed)
        provenance = {**distilled.provenance, IDENTITY: identity}
        if not is_done(config.out, identity):  # by another process, meanwhile
            save_distilled(config.out, dataclasses.replace(distilled, provenance=provenance))
        shutil.rmtree(parts)
    print(f"written   {config.out}: {len(distilled.labels)} images from {len(real.labels)} real ones")


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.distill_rded")
