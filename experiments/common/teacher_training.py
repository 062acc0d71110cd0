"""A teacher trained from scratch on real images, held in memory or decoded on the fly."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gift_jax.data.datasets import get_dataset
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import load_evaluation, load_training
from gift_jax.data.record_set import RecordSet
from gift_jax.data.transforms import TrainingTransform, make_transform
from gift_jax.errors import Diverged
from gift_jax.models import ModelSpec, get_model
from gift_jax.optim import Optimizer, Schedule
from gift_jax.plan import work
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime import progress, provenance
from gift_jax.runtime.files import append_json_line, locked, make_directory, refuse_to_replace
from gift_jax.runtime.options import Count, Dataset, ModelName, NonNegative, Seed, Source, check_numbers
from gift_jax.studies.results import read_results
from gift_jax.task import Task
from gift_jax.teachers.teacher import WEIGHTS, TeacherInfo, new_teacher, save_arrays, write_info
from gift_jax.training.identity import fingerprint
from gift_jax.training.resume import Checkpoints, remove
from gift_jax.training.train import Run

from .options import GROUPS, Images
from .sources import find_images
from .students import parse_options
from .training import train_shown

SCHEDULES = {"steps": Schedule("multistep", milestones=((1, 3), (2, 3)), gamma=0.1), "cosine": Schedule("cosine")}
EPOCHS, BATCH_SIZE, RATE = 90, 128, 0.1  # torchvision's
SMALLEST_BATCH, FEWEST_STEPS = 16, 2000
# Bytes of training images that are held in memory. Not a share of this machine's: it decides how images are cropped.
LARGEST = 8 * 2**30
RESULTS = "results.jsonl"
# With these a ConvNet-3 reaches 82.05 % on CIFAR-10, and 91.78 % on Fashion-MNIST in 6 epochs.
CONVNET: Mapping[str, Any] = {
    "epochs": 12, "learning_rate": 0.05, "weight_decay": 5e-4, "schedule": "cosine", "crop": False,
}  # fmt: skip
BY_MODEL = {"cifar10 conv3": CONVNET}


@dataclasses.dataclass(frozen=True)
class TrainTeacher:
    """Train a network on a real dataset.

    Args:
        dataset: what to train on.
        model: architecture.
        out: teacher directory to write.
        model_options: of the architecture, such as norm=instance,width=64.
        data: training images, a directory of class folders, `tfds` or `tfds:DIR`; not needed for the digits.
        test_data: test images, likewise.
        class_order: file of class folders by class id.
        epochs: passes over the training images; by default 90, or as many as make 2,000 steps. A conv3 on
            CIFAR-10 has defaults of its own: 12 epochs at 0.05, weight decay 5e-4, cosine, images not moved.
        batch_size: images a step; by default 128, and fewer, down to 16, of sets of fewer than 5,120 images.
        learning_rate: of SGD with momentum 0.9; by default 0.1 for 128 images a step, and in proportion for fewer.
        weight_decay: of all weights.
        schedule: of the learning rate: a tenth at each third, or cosine.
        crop: move images by up to an eighth of their side; of large sets, which are decoded on the fly, cut out
            parts of 8 % of the area or more.
        flip: mirror half of the images; by default where a mirrored image is still of its class, as the dataset says.
        image_size: side of the input, if not the dataset's usual one.
        workers: processes that decode, by default one a core.
        precision: of the networks' arithmetic; weights, losses and statistics are float32.
        seed: of initial weights, order and augmentation.
        resume: go on with an unfinished training, whose state is in OUT.unfinished.
        save_minutes: how often that state is saved.
    """

    GROUPS = GROUPS
    DEFAULTS = BY_MODEL

    dataset: Dataset
    model: ModelName
    out: Path
    model_options: str | None = None
    data: Images | None = None
    test_data: Images | None = None
    class_order: Source | None = None
    epochs: Count | None = None
    batch_size: Count | None = None
    learning_rate: NonNegative | None = None
    weight_decay: float = 1e-4
    schedule: Literal["steps", "cosine"] = "steps"
    crop: bool = True
    flip: Literal["yes", "no"] | None = None
    image_size: Count | None = None
    workers: Count | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: Seed = 0
    resume: bool = True
    save_minutes: NonNegative = 5.0


def flips(config: TrainTeacher) -> bool:
    """Whether images are mirrored: as the option says, or else as the dataset does."""
    return get_dataset(config.dataset).mirrors if config.flip is None else config.flip == "yes"


def make_recipe(config: TrainTeacher, count: int, *, decoded: bool = False) -> Recipe:
    """The torchvision reference recipe for so many images; those decoded on the fly come cropped and flipped.

    Its 90 epochs at 0.1 in batches of 128 are for large sets. A small one takes smaller batches, whose rate is in
    proportion (Goyal et al., 2017, arXiv 1706.02677), and more epochs, so that there are steps enough to learn.
    """
    batch_size = config.batch_size or min(BATCH_SIZE, max(SMALLEST_BATCH, 2 ** int(math.log2(max(1, count / 40)))))
    rate = RATE * batch_size / BATCH_SIZE if config.learning_rate is None else config.learning_rate
    epochs = config.epochs or max(EPOCHS, math.ceil(FEWEST_STEPS / math.ceil(count / batch_size)))
    chosen = {"flip": flips(config), "crop": config.crop}
    operations = [name for name, wanted in chosen.items() if wanted and not decoded]
    return Recipe(
        loss="ce",
        optimizer=Optimizer("sgd", rate, config.weight_decay, momentum=0.9),
        schedule=SCHEDULES[config.schedule],
        epochs=epochs,
        batch_size=batch_size,
        augment="_".join(operations) or "none",
        precision=config.precision,
    )


def load_images(config: TrainTeacher, image_size: int) -> DistilledSet | RecordSet:
    """All real training images, in a form that students are trained on: held in memory, or decoded on the fly."""
    source = find_images(config.data, config.dataset, "train", "--data")
    training = load_training(config.dataset, image_size=image_size, source=source, class_order=config.class_order)
    spec = get_dataset(config.dataset)
    needed = len(training.labels) * image_size**2 * spec.channels
    if training.records is not None and needed > LARGEST:
        transform = TrainingTransform(make_transform(spec, image_size), crop=config.crop, flip=flips(config))
        return RecordSet(training.records, transform, config.dataset, config.workers)
    with progress.display("reading", len(training.labels), "images") as advance:
        parts = []
        for images, _ in training.batches:
            parts.append(images)
            advance(len(images), "")
    most = int(np.bincount(training.labels).max())
    return DistilledSet(np.concatenate(parts), training.labels, None, "raw", config.dataset, "real", most)


def model_spec(config: TrainTeacher) -> ModelSpec:
    """The network that is trained."""
    spec, options = get_dataset(config.dataset), parse_options(config.model_options or "", "--model-options")
    size = config.image_size or spec.input_size(config.model)
    return ModelSpec(config.model, spec.num_classes, size, spec.channels, options)


def make_info(config: TrainTeacher) -> TeacherInfo:
    """What the teacher says of itself: trained here, so that there is no PyTorch to be verified against."""
    return TeacherInfo.of(
        model_spec(config),
        dataset=config.dataset,
        normalisation=get_dataset(config.dataset).normalisation,
        source_file=f"experiments.train_teacher, seed {config.seed}",
        source_sha256="",
        verification=None,
        versions=provenance.versions(),
    )


def run(config: TrainTeacher) -> None:
    """Train, test, and write the teacher and its results.jsonl; nothing if it is there. Raises: GiftError."""
    check_numbers(config)
    make_recipe(config, count=1)  # mistakes in options are told before images are read
    student, info = get_model(model_spec(config)), make_info(config)
    size = info.image_size
    if config.out.exists() and not (config.out / RESULTS).is_file():
        refuse_to_replace(config.out)  # before images are read, by which a teacher that was trained here is known
    source = find_images(config.test_data, config.dataset, "val", "--test-data")
    test = load_evaluation(config.dataset, image_size=size, source=source, class_order=config.class_order)
    images = load_images(config, size)
    decoded = isinstance(images, RecordSet)
    recipe = make_recipe(config, len(images.labels), decoded=decoded)
    task = Task(recipe, student, images, test_set=test)
    name = fingerprint({**task.identity(), "seed": config.seed})
    if is_done(config.out, name):
        print(f"exists    {config.out}: trained with the same settings on the same images")
        return
    place, mirrored = "decoded on the fly" if decoded else "held in memory", "half of them" if flips(config) else "none"
    print(f"images    {len(images.labels)} to train on, {place}, {mirrored} mirrored")
    steps = work(recipe.epochs, task.program.steps_per_epoch, task.program.batch_size)
    print(f"recipe    {steps}, SGD at {task.learning_rate:g}, {config.schedule}")
    make_directory(config.out.parent)  # now, and not when the teacher is ready
    out = config.out.absolute()  # "." has no name
    unfinished = out.with_name(f"{out.name}.unfinished")
    checkpoints = Checkpoints(unfinished, minutes=config.save_minutes, resume=config.resume)
    try:
        with locked(config.out, "another process is training a teacher here"):
            [result] = train_shown(task, "teacher", (config.seed,), checkpoints=checkpoints)
            with new_teacher(config.out, keep=lambda there, _: is_done(there, name)) as directory:
                save_arrays(directory / WEIGHTS, result.state.params, result.state.batch_stats)
                write_info(directory, info)
                append_json_line(directory / RESULTS, {"cell": name, **task.row(result)})
    except Diverged:
        remove(checkpoints, (config.seed,))  # it would diverge again
        raise
    remove(checkpoints, (config.seed,))
    print(f"written   {config.out}: {config.model}, top-1 {result.top1_last:.2f} % on {len(test.labels)} test images")
    warn_if_weak(result, info.num_classes)


def is_done(out: Path, name: str) -> bool:
    """Whether the teacher of this run is there. Raises: GiftError if another one is."""
    if out.exists() and name not in [row.get("cell") for row in read_results(out / RESULTS)]:
        refuse_to_replace(out)
    return out.exists()


def warn_if_weak(result: Run, num_classes: int) -> None:
    """Say of a teacher that has hardly learned its training images, or that hardly knows test images, what may help."""
    guess = math.log(num_classes)
    if result.losses[-1] > guess / 2:
        reason = f"its loss on training images is {result.losses[-1]:.2f}, and guessing has {guess:.2f}"
        remedy = "give it more --epochs, a smaller --batch-size or another --learning-rate"
    elif result.top1_last < 200 / num_classes and num_classes > 2:
        level = f"guessing ({100 / num_classes:.1f} %)"
        reason = f"it knows its training images, but test images hardly better than {level}"
        remedy = "give it more training images, or check that both are of the same classes in the same order"
    else:
        return
    print(f"warning: this is a weak teacher: {reason}; {remedy}", file=sys.stderr)
