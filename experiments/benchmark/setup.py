"""What the study of a benchmark is made of: its dataset, options, teacher, sets and the images held out."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

import jax
import numpy as np

from gift_jax import DistilledSet, GiftError, Teacher, load_distilled, load_teacher, save_distilled
from gift_jax.data.datasets import get_dataset
from gift_jax.data.evaluation import EvaluationSet, load_evaluation
from gift_jax.losses import LOSSES
from gift_jax.models import Model, ModelSpec, get_model
from gift_jax.optim import COMPARED
from gift_jax.runtime.files import append_json_line
from gift_jax.runtime.options import Alias, ComparedName
from gift_jax.studies.cells import Cell
from gift_jax.studies.grid_plan import measure
from gift_jax.studies.results import read_results
from gift_jax.task import Task
from gift_jax.teachers.teacher import INFO, make_teacher
from gift_jax.training.identity import fingerprint

from ..common import teacher_training
from ..common.digits_setup import find_set
from ..common.options import GROUPS
from ..common.rates import SQUARED, LossesOrSquared, LossOrSquared
from ..common.real_images import RealImages, open_real

NAME, DATASET = "fashion_mnist", "fashion-mnist"
MODEL, WIDTH = "conv3", 128  # of the teacher and the ConvNet students, as the literature has them
PLACE = Path("/usr/share/datasets/fashion-mnist")
HELD_OUT = 12  # every twelfth training image is for choosing rates; no set holds one
MADE, DRAWN = ("rded", "medoids"), "random"  # sets that are fixed, and one that is drawn anew for each student

Stage = Literal[
    "teacher", "sets", "search", "headline", "sizes", "students", "refinement", "length", "augmentation", "gradient",
    "report",
]  # fmt: skip
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A benchmark from its files to a report.

    Args:
        data: directory of the images, by default where the Debian package dataset-fashion-mnist has its four IDX files.
        out: directory of teacher, sets, results and report; what is finished there is not run again.
        stages: what to run; teacher and sets are made for any of them.
        width: of the teacher and the ConvNet students.
        ipc: images a class of all questions but sizes and length.
        sizes: images a class of those two.
        losses: names of losses, or kl_t2; gift among them.
        fewer_losses: of them, those of the smaller questions.
        optimizers: names in `gift_jax.optim.COMPARED`.
        students: architectures, with options after a colon: conv3:norm=instance.
        sgd_rates: multiples of SGD's customary rate that are searched, 1 among them.
        adam_rates: of the other optimizers'.
        teacher_epochs: of the teacher.
        steps: optimizer steps of each student.
        long_steps: of the students of the question of length.
        num_seeds: students a cell of the headline.
        rival_seeds: of GIFT and its two rivals there, at their tuned rates.
        other_seeds: of the smaller questions.
        long_seeds: of the question of length.
        jobs: students trained at once.
        dry_run: list the cells, measure a step of each kind, say how long everything takes, and stop.
        rekey: know results of an earlier version again, by all that they record, and stop.
        retry_failed: run cells again that failed before.
    """

    GROUPS = GROUPS

    data: Path = PLACE
    out: Path = Path("runs/fashion_mnist")
    stages: tuple[Stage, ...] = STAGES
    width: int = WIDTH
    ipc: int = 10
    sizes: tuple[int, ...] = (1, 10, 50)
    losses: LossesOrSquared = ("ce", "kl", SQUARED, "softce", "mse_ce", "cosine", "gift")
    fewer_losses: tuple[LossOrSquared, ...] = ("ce", SQUARED, "softce", "gift")
    optimizers: tuple[ComparedName, ...] = ("sgd", "adam", "adamw")
    students: tuple[str, ...] = ("conv3:norm=instance", "conv1", "resnet18_modified")
    sgd_rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 30.0, 100.0, 1000.0)
    adam_rates: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    teacher_epochs: int = 6
    steps: int = 200
    long_steps: int = 2000
    num_seeds: Annotated[int, Alias("seeds")] = 5
    rival_seeds: int = 10
    other_seeds: int = 3
    long_seeds: int = 3
    jobs: int = 1
    dry_run: bool = False
    rekey: bool = False
    retry_failed: bool = False

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if isinstance(value := getattr(self, field.name), int) and not isinstance(value, bool) and value < 1:
                raise GiftError(f"--{field.name.replace('_', '-')} must be 1 or more, not {value}")
        for option in ("sgd_rates", "adam_rates"):
            if 1.0 not in getattr(self, option) or min(getattr(self, option)) <= 0:
                raise GiftError(f"--{option.replace('_', '-')} must be above 0 and hold 1, the customary rate")
        known = {"--losses": ({*LOSSES, SQUARED}, self.losses), "--optimizers": (set(COMPARED), self.optimizers)}
        known["--fewer-losses"] = (set(self.losses), self.fewer_losses)
        for option, (names, given) in known.items():
            if unknown := set(given) - names:
                raise GiftError(f"{option}: {min(unknown)!r} is not among {', '.join(sorted(names))}")
        if "gift" not in self.losses or "adamw" not in self.optimizers or min(self.sizes, default=0) < 1:
            raise GiftError("--losses must hold gift, --optimizers adamw, and --sizes numbers from 1")

    def rates(self, optimizer: str) -> tuple[float, ...]:
        """Multiples of an optimizer's customary rate to search, ascending."""
        return tuple(sorted(self.sgd_rates if optimizer == "sgd" else self.adam_rates))


class Resources(NamedTuple):
    """What students are trained and tested with: sets by (images, images a class), random ones as `random-SEED`."""

    teacher: Teacher
    sets: Mapping[tuple[str, int], DistilledSet]
    test: EvaluationSet
    validation: EvaluationSet

    @property
    def student(self) -> Model:
        """The teacher's architecture."""
        return get_model(self.teacher.info.spec)


def load_resources(config: Benchmark) -> Resources:
    """Make, or take from the run's directory, the teacher and the sets. Raises: GiftError."""
    source, size = str(config.data), get_dataset(DATASET).image_size
    if not any(config.data.glob("*images*idx3-ubyte*")):
        raise GiftError(
            f"{config.data}: holds no IDX files of Fashion-MNIST; install them by `apt-get install "
            "dataset-fashion-mnist`, or give a directory of the four files by --data DIR"
        )
    test = load_evaluation(DATASET, image_size=size, source=source)
    real = open_real(DATASET, source, size)
    held, kept = held_out(len(real.labels))
    validation = EvaluationSet(real.read(held), real.labels[held], DATASET, class_names=test.class_names)
    paths = (config.out / "teacher" / INFO, *set_paths(config).values())
    if config.dry_run and not all(path.is_file() for path in paths):
        # Random images in the place of every set, of their sizes, no two alike.
        made = {key: real.part(kept).draw(key[1], number) for number, key in enumerate(set_paths(config))}
        return Resources(untrained_teacher(config), made, test, validation)
    teacher = find_teacher(config, len(test.labels))
    return Resources(teacher, find_sets(config, teacher, real.part(kept)), test, validation)


def held_out(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of training images for choosing rates, and those that sets are made of."""
    chosen = np.arange(count) % HELD_OUT == HELD_OUT - 1
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def teacher_config(config: Benchmark) -> teacher_training.TrainTeacher:
    """How the teacher is trained: SGD at 0.05 with decay 5e-4, a cosine to zero, mirrors, images not moved."""
    return teacher_training.TrainTeacher(
        DATASET,
        MODEL,
        config.out / "teacher",
        model_options=f"width={config.width}",
        data=str(config.data),
        test_data=str(config.data),
        epochs=config.teacher_epochs,
        learning_rate=0.05,
        weight_decay=5e-4,
        schedule="cosine",
        crop=False,
    )


def find_teacher(config: Benchmark, test_images: int) -> Teacher:
    """The teacher of the run's directory, trained if there is none; its result becomes a row of results.jsonl."""
    asked = teacher_config(config)
    if not (asked.out / INFO).is_file():
        teacher_training.run(asked)
        [row] = read_results(asked.out / "results.jsonl")
        labels = {"question": "teacher", "test images": str(test_images)}
        cell = fingerprint({"teacher": row["recipe"], "width": config.width})
        append_json_line(config.out / "results.jsonl", {"experiment": NAME, "cell": cell, "labels": labels, **row})
    teacher = load_teacher(asked.out)
    if (width := dict(teacher.info.options).get("width", WIDTH)) != config.width:
        raise GiftError(f"{asked.out}: has width {width}, not {config.width}; give --width {width}, or another --out")
    return teacher


def set_paths(config: Benchmark) -> dict[tuple[str, int], Path]:
    """The files of all sets, by (images, images a class)."""
    # Of random images one for each seed of a small question.
    names = [*MADE, *(f"{DRAWN}-{seed}" for seed in range(max(config.other_seeds, config.long_seeds)))]
    sizes = sorted({config.ipc, *config.sizes})
    return {(name, ipc): config.out / "sets" / f"{name}_ipc{ipc}.safetensors" for name in names for ipc in sizes}


def teacher_seconds(config: Benchmark, resources: Resources) -> float:
    """About how long the teacher's training takes, from a few epochs of the largest set; 0 if it is there."""
    asked = teacher_config(config)
    if (asked.out / INFO).is_file():
        return 0.0
    largest = max(resources.sets.values(), key=lambda distilled: len(distilled.labels))
    images = len(resources.validation.labels) * HELD_OUT
    recipe = dataclasses.replace(teacher_training.make_recipe(asked, images), evaluations=1)
    taken = measure(Cell({}, Task(recipe, resources.student, largest, None, resources.test)))
    return taken.compiling + recipe.epochs * (taken.evaluation + taken.epoch * images / len(largest.labels))


def find_sets(config: Benchmark, teacher: Teacher, real: RealImages) -> dict[tuple[str, int], DistilledSet]:
    """The sets of the run's directory; what is missing is made of the real images."""
    paths = set_paths(config)
    missing = any(name in MADE and not path.is_file() for (name, _), path in paths.items())
    images = real.read(np.arange(len(real.labels))) if missing else np.zeros(0, np.uint8)
    for (name, ipc), path in paths.items():
        if name in MADE:
            find_set(path, name, images, real.labels, teacher, ipc)
        elif not path.is_file():
            save_distilled(path, real.draw(ipc, int(name.partition("-")[2])))
    return {key: load_distilled(path) for key, path in paths.items()}


def untrained_teacher(config: Benchmark) -> Teacher:
    """A teacher whose steps take as long as the trained one's."""
    spec, asked = get_dataset(DATASET), teacher_config(config)
    shape = ModelSpec(asked.model, spec.num_classes, spec.image_size, spec.channels, (("width", config.width),))
    return make_teacher(teacher_training.make_info(asked, shape), *get_model(shape).init(jax.random.key(0)))
