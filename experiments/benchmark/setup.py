"""What the study of a benchmark is made of: its options by dataset, teacher, sets and the images held out."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax

from gift_jax import DistilledSet, GiftError, Teacher, load_distilled, load_teacher, save_distilled
from gift_jax.data.datasets import CONVNETS, get_dataset
from gift_jax.data.evaluation import EvaluationSet, load_evaluation
from gift_jax.losses import LOSSES
from gift_jax.models import Model, ModelSpec, get_model
from gift_jax.rded import RDED
from gift_jax.runtime.devices import announce
from gift_jax.runtime.files import append_json_line, os_errors_as_gift_error, write_text
from gift_jax.runtime.options import Alias, ComparedName, Count, Dataset, Existing, ModelName, check_numbers, check_once
from gift_jax.studies.cells import Cell
from gift_jax.studies.grid import known_rows
from gift_jax.studies.grid_plan import measure
from gift_jax.studies.results import check_directory, read_results
from gift_jax.task import Task
from gift_jax.teachers.teacher import INFO, make_teacher
from gift_jax.training.identity import digest, fingerprint

from ..common import teacher_training
from ..common.options import GROUPS, Images
from ..common.rates import SQUARED, LossesOrSquared, LossOrSquared, check_rates
from ..common.real_images import RealImages, hold_out, open_real
from ..common.set_making import find_set
from ..common.sources import find_images

WIDTH = 128  # of ConvNets, if they have no option of another one
HELD_OUT = 12  # every twelfth training image is for choosing rates; no set holds one
MAIN, MADE, DRAWN = "rded", ("rded", "medoids"), "random"  # sets that are fixed, and one drawn anew for each student

Stage = Literal[
    "teacher", "sets", "rded", "dc", "relabelled", "primary", "losses", "epochs", "search", "headline", "sizes",
    "students", "other_teacher", "refinement", "length", "augmentation", "gradient", "report",
]  # fmt: skip
# What is asked of a dataset, and the defaults of other options, where they are not those of the official regime.
FASHION: Mapping[str, Any] = {
    "data": "/usr/share/datasets/fashion-mnist",
    "out": Path("runs/fashion_mnist"),
    "stages": (
        "teacher", "sets", "search", "headline", "sizes", "students", "refinement", "length", "augmentation",
        "gradient", "report",
    ),
    "smallest_area": 0.5,
    "losses": ("ce", "kl", SQUARED, "softce", "mse_ce", "cosine", "gift"),
    "fewer_losses": ("ce", SQUARED, "softce", "gift"),
    "students": ("conv3:norm=instance", "conv1", "resnet18_modified"),
    "others_at": "tuned",
    "sgd_rates": (0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 30.0, 100.0, 1000.0),
    "adam_rates": (0.1, 0.3, 1.0, 3.0, 10.0),
    "teacher_epochs": 6,
    "steps": 200,
    "num_seeds": 5,
    "rival_seeds": 10,
}  # fmt: skip
BY_DATASET: Mapping[str, Mapping[str, Any]] = {"fashion-mnist": FASHION, "cifar10": {"out": Path("runs/cifar10")}}


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A benchmark from its files to a report.

    Args:
        dataset: whose images they are; other defaults go by it.
        data: its training and test images, an archive, a directory, `tfds` or `tfds:DIR`; of Fashion-MNIST by default
            where the Debian package dataset-fashion-mnist has its four IDX files.
        out: directory of teacher, sets, results and report; what is finished there is not run again.
        stages: what to run; teacher and sets are made for any of them.
        model: architecture of the teacher and of most students.
        width: of both, if they are ConvNets.
        ipc: images a class of most questions.
        sizes: images a class of those that compare them.
        smallest_area: share of an image that RDED's crops have at least.
        losses: names of losses, or kl_t2, whose rates are searched and which are tested under all optimizers.
        all_losses: of the question of losses.
        fewer_losses: of the smaller questions.
        rival: the loss that gift is compared with in the primary question.
        optimizers: names in `gift_jax.optim.COMPARED`.
        students: architectures, with options after a colon: conv3:norm=instance.
        others_at: rate of the smaller questions, the default one or the one that the search chose.
        sgd_rates: multiples of SGD's default rate that are searched, 1 among them.
        adam_rates: of the other optimizers'.
        teacher_epochs: of the teacher.
        steps: optimizer steps of each student; by default those of the official recipe's epochs.
        long_steps: of the students of the question of length.
        lengths: epochs of the students of the question of epochs.
        num_seeds: students a setting of the questions of losses and of the headline.
        rival_seeds: of the primary question, and in the headline of GIFT and its two rivals at their tuned rates.
        other_seeds: of the smaller questions.
        long_seeds: of the longest trainings.
        published_sets: directory of DC's published sets, `res_DC_*_ConvNet_10ipc.pt`.
        other_teacher: a second teacher, a directory that `convert teacher` or train_teacher wrote.
        jobs: students trained at once.
        dry_run: list what is to be run, measure a step of each kind, say how long everything takes, and stop.
        rekey: know results of an earlier version again, by all that they record, and stop.
        retry_failed: run again what failed before.
    """

    GROUPS = GROUPS
    DEFAULTS = BY_DATASET

    dataset: Dataset = "fashion-mnist"
    data: Images | None = None
    out: Path = Path("runs/benchmark")
    stages: tuple[Stage, ...] = (
        "teacher", "sets", "rded", "dc", "relabelled", "primary", "losses", "epochs", "search", "headline", "students",
        "other_teacher", "report",
    )  # fmt: skip
    model: ModelName = "conv3"
    width: Count = WIDTH
    ipc: Count = 10
    sizes: tuple[Count, ...] = (1, 10, 50)
    smallest_area: float = 0.08
    losses: LossesOrSquared = ("kl", SQUARED, "softce", "mse_ce", "gift")
    all_losses: tuple[LossOrSquared, ...] = (*LOSSES, SQUARED)
    fewer_losses: tuple[LossOrSquared, ...] = ("kl", "softce", "mse_ce", "gift")
    rival: LossOrSquared = "kl"
    optimizers: tuple[ComparedName, ...] = ("sgd", "adam", "adamw")
    students: tuple[str, ...] = ("resnet18_modified", "vgg11")
    others_at: Literal["default", "tuned"] = "default"
    sgd_rates: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0)
    adam_rates: tuple[float, ...] = (0.3, 1.0, 3.0)
    teacher_epochs: Count = 12
    steps: Count | None = None
    long_steps: Count = 2000
    lengths: tuple[Count, ...] = (100, 300, 1000)
    num_seeds: Annotated[Count, Alias("seeds")] = 5
    rival_seeds: Count = 8
    other_seeds: Count = 3
    long_seeds: Count = 3
    published_sets: Annotated[Path, Existing()] | None = None
    other_teacher: Annotated[Path, Existing()] | None = None
    jobs: Count = 1
    dry_run: bool = False
    rekey: bool = False
    retry_failed: bool = False

    def __post_init__(self) -> None:
        check_numbers(self)
        check_once(self)
        check_rates(self.sgd_rates, "--sgd-rates")
        check_rates(self.adam_rates, "--adam-rates")
        if self.others_at == "tuned" and (unsearched := set(self.fewer_losses) - set(self.losses)):
            raise GiftError(f"--fewer-losses: {min(unsearched)!r} is not among --losses, whose rates are searched")
        if "gift" not in self.losses or "adamw" not in self.optimizers or not self.sizes:
            raise GiftError("--losses must hold gift, --optimizers adamw, and --sizes a number")

    @property
    def name(self) -> str:
        """The study's name in its rows: the dataset's, with underscores."""
        return self.dataset.replace("-", "_")

    def rates(self, optimizer: str) -> tuple[float, ...]:
        """Multiples of an optimizer's default rate to search, ascending."""
        return tuple(sorted(self.sgd_rates if optimizer == "sgd" else self.adam_rates))


FindSet = Callable[[str, int], DistilledSet]
"""(images, images a class) -> a set; random ones are called `random-SEED`."""


class Resources(NamedTuple):
    """What students are trained and tested with; sets are made, or read, when they are asked for."""

    teacher: Teacher
    find_set: FindSet
    test: EvaluationSet
    validation: EvaluationSet

    @property
    def student(self) -> Model:
        """The teacher's architecture."""
        return get_model(self.teacher.info.spec)


def load_resources(config: Benchmark) -> Resources:
    """Make, or take from the run's directory, the teacher; open the images that sets are made of. Raises: GiftError."""
    check_directory(config.out)
    size = get_dataset(config.dataset).input_size(config.model)
    # A default place that is not there says where the images are published.
    data = None if config.data == FASHION["data"] and not Path(config.data).exists() else config.data
    train, val = (find_images(data, config.dataset, split, "--data") for split in ("train", "val"))
    announce()
    test = load_evaluation(config.dataset, image_size=size, source=val)
    real = open_real(config.dataset, train, size)
    held, kept = hold_out(len(real.labels), HELD_OUT)
    validation = real.part(held).as_test_images()
    check_images(config, fingerprint({"labels": digest(real.labels), "held out": digest(validation.images)}))
    if config.dry_run and not (config.out / "teacher" / INFO).is_file():
        info = teacher_training.make_info(teacher_config(config))  # whose steps take as long as the trained one's
        teacher = make_teacher(info, *get_model(info.spec).init(jax.random.key(0)))
    else:
        teacher = find_teacher(config, len(test.labels))
    return Resources(teacher, set_finder(config, teacher, real.part(kept)), test, validation)


def check_images(config: Benchmark, found: str) -> None:
    """Raises: GiftError if the run's directory is of other training images. Args: found, a digest of them."""
    path = config.out / "sets" / "training_images.txt"
    if path.is_file():
        with os_errors_as_gift_error(path):
            known = path.read_text(encoding="utf-8").strip()
        if known != found:
            raise GiftError(f"{config.out}: its sets and teacher are of other training images; give another --out")
    elif not config.dry_run:
        write_text(path, f"{found}\n")


def teacher_config(config: Benchmark) -> teacher_training.TrainTeacher:
    """How the teacher is trained: as train_teacher does a ConvNet-3, in epochs of its own."""
    return teacher_training.TrainTeacher(
        config.dataset,
        config.model,
        config.out / "teacher",
        model_options=f"width={config.width}" if config.model in CONVNETS else None,
        data=config.data,
        test_data=config.data,
        **{**teacher_training.CONVNET, "epochs": config.teacher_epochs},
    )


def find_teacher(config: Benchmark, test_images: int) -> Teacher:
    """The teacher of the run's directory, trained if there is none; its result becomes a row of results.jsonl."""
    asked = teacher_config(config)
    if not (asked.out / INFO).is_file():
        teacher_training.run(asked)
    teacher = load_teacher(asked.out)
    [row] = read_results(asked.out / "results.jsonl")
    trained = ((teacher.info.spec, row["epochs"]), (teacher_training.model_spec(asked), config.teacher_epochs))
    found, wanted = (f"{_described(spec)} after {epochs} epochs" for spec, epochs in trained)
    if found != wanted:
        mend = "give --model, --width and --teacher-epochs that fit it, or another --out"
        raise GiftError(f"{asked.out}: is a {found}, not a {wanted}; {mend}")
    known = [row for row in known_rows(config.out) if row["labels"].get("question") == "teacher"]
    if any((one["recipe"], one["top1_last"]) != (row["recipe"], row["top1_last"]) for one in known):
        raise GiftError(f"{config.out}: its results are of another teacher than {asked.out}; give another --out")
    if not known:
        labels = {"question": "teacher", "test images": str(test_images)}
        cell = fingerprint({"teacher": row["recipe"], "width": config.width})
        heading = {"experiment": config.name, **row, "cell": cell, "labels": labels}
        append_json_line(config.out / "results.jsonl", heading)
    return teacher


def _described(spec: ModelSpec) -> str:
    """An architecture and its options in words, a ConvNet's usual width among them."""
    options = {**({"width": WIDTH} if spec.name in CONVNETS else {}), **dict(spec.options)}
    return " ".join([spec.name, *(f"{name}={value}" for name, value in sorted(options.items()))])


def teacher_seconds(config: Benchmark, resources: Resources) -> float:
    """About how long the teacher's training takes, from a few epochs of the largest set; 0 if it is there."""
    asked = teacher_config(config)
    if (asked.out / INFO).is_file():
        return 0.0
    largest = resources.find_set(MAIN, max(config.ipc, *config.sizes))
    images = len(resources.validation.labels) * HELD_OUT
    recipe = dataclasses.replace(teacher_training.make_recipe(asked, images), evaluations=1)
    taken = measure([Cell({}, Task(recipe, resources.student, largest, None, resources.test))])
    return taken.compiling + recipe.epochs * (taken.evaluation + taken.epoch * images / len(largest.labels))


def set_path(config: Benchmark, name: str, ipc: int) -> Path:
    """The file of a set."""
    return config.out / "sets" / f"{name}_ipc{ipc}.safetensors"


def set_finder(config: Benchmark, teacher: Teacher, real: RealImages) -> FindSet:
    """What finds or makes the sets of the run's directory; in a dry run random images stand for missing ones."""
    held, crops = real.held(), RDED(smallest_area=config.smallest_area)

    @functools.cache
    def find(name: str, ipc: int) -> DistilledSet:
        path, drawn = set_path(config, name, ipc), name.startswith(DRAWN)
        seed = int(name.partition("-")[2]) if drawn else 1000 + MADE.index(name)
        if config.dry_run and not path.is_file():
            return real.draw(ipc, seed)
        if not drawn:
            return find_set(path, name, held, teacher, ipc, crops)
        if not path.is_file():
            save_distilled(path, real.draw(ipc, seed))
        return load_distilled(path)

    return find
