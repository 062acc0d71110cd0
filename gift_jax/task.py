"""What one student is trained on, as one frozen value: checked, and brought to one normalisation, when it is made."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.record_set import RecordSet
from gift_jax.data.stored_labels import StoredLabels
from gift_jax.errors import GiftError, unknown_name
from gift_jax.evaluate import make_evaluator
from gift_jax.models import Model, Variables
from gift_jax.pixels.colors import GREY
from gift_jax.pixels.rand_augment import split_strategy
from gift_jax.readers.classes import different_ids
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.provenance import device, versions
from gift_jax.runtime.seeds import check_seeds
from gift_jax.runtime.sharding import place_on_mesh
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.cooling import split_options
from gift_jax.training.epochs import Driver, Epoch, make_epoch, make_phased_epoch
from gift_jax.training.identity import fingerprint, random_identity, set_identity, teacher_identity, test_set_identity
from gift_jax.training.normalising import renormalise, stated_normalisation, target_normalisation
from gift_jax.training.program import Data, Program, State, make_data
from gift_jax.training.replay import adapt_recipe, check_set
from gift_jax.training.resume import Checkpoints
from gift_jax.training.schedule_free import make_evaluation_weights
from gift_jax.training.streaming import Placement, make_streamed_data, make_streamed_epoch, place
from gift_jax.training.train import Run, Students, choose_seeds, train_students

SeedDriver = Literal["auto", "loop", "vmap"]
_TEACHER_TOP1: dict[str, float] = {}
_DIGESTS = {
    "images": "distilled",
    "stored_labels": "soft_labels",
    "teacher_weights": "teacher",
    "test_images": "evaluation",
    "random_generator": "random",
}  # by name, the parts of an identity that rows have as digests
_KINDS = {"recipe": (Recipe,), "student": (Model,), "distilled": (DistilledSet, RecordSet)}


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """What one student is trained on; its parts fit each other and share one normalisation.

    Args:
        recipe: training recipe. Without a normalisation of its own it takes the teacher's, the set's or the dataset's.
        student: architecture to train.
        distilled: images to train on. Pixels that were normalised by other statistics are normalised anew.
        teacher: source of soft labels, or None: the set's own, the stored ones, or hard labels.
        test_set: images to test on; None where nothing is tested.
        soft_labels: stored labels in place of a teacher (`gift_jax.data.stored_labels.load_soft_labels`).

    Raises:
        GiftError: if the parts do not fit each other.
    """

    recipe: Recipe
    student: Model
    distilled: DistilledSet | RecordSet
    teacher: Teacher | None = None
    test_set: EvaluationSet | None = None
    soft_labels: StoredLabels | None = None
    program: Program = dataclasses.field(init=False, repr=False)
    """What is compiled, with the recipe as it runs: stored labels decide its batches and mixing."""
    stated_normalisation: Normalisation | None = dataclasses.field(init=False, repr=False)
    """The statistics that the set was normalised by before, if it states them."""
    target_normalisation: tuple[str, Normalisation] = dataclasses.field(init=False, repr=False)
    """Whose statistics the networks' inputs are normalised by, and which."""

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            if not isinstance(value := getattr(self, name), kind):
                made = " or ".join(one.__name__ for one in kind)
                raise GiftError(f"`{name}` is {value!r:.80}, not a {made} of gift_jax")
        target = target_normalisation(self.recipe, self.distilled, self.teacher)
        derived: dict[str, Any] = {
            "stated_normalisation": stated_normalisation(self.distilled),
            "target_normalisation": target,
        }
        if self.teacher is None:  # which has its own; the recipe names it, for a dataset may be described anew
            derived["recipe"] = dataclasses.replace(self.recipe, normalisation=target[1])
        if isinstance(self.distilled, DistilledSet):
            derived["distilled"] = renormalise(self.distilled, target[1])
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "program", _make_program(self))
        if self.test_set is not None:
            check_test_set(self, self.test_set)

    @property
    def normalisation(self) -> Normalisation:
        """The statistics that the networks' inputs are normalised by."""
        return self.program.normalisation

    @property
    def learning_rate(self) -> float:
        """The optimizer's, before the schedule."""
        return self.recipe.optimizer.learning_rate

    def data(self, placement: Placement = "auto") -> Data:
        """What a step reads, on the device; of a set that streams from the host, the teacher's weights alone."""
        if isinstance(self.distilled, RecordSet) or self.is_streamed(placement):
            return make_streamed_data(self.teacher)
        return make_data(self.distilled, self.teacher)

    def is_streamed(self, placement: Placement = "auto") -> bool:
        """Whether the set streams from the host instead of staying on the device."""
        return place(self.distilled, placement, stored=self.soft_labels is not None).streamed

    def evaluation_weights(self, state: State) -> tuple[Variables, Variables]:
        """The weights and BatchNorm statistics that a trained student is tested with."""
        return make_evaluation_weights(self.program, streamed=self.is_streamed())(state, self.data())

    def identity(self) -> dict[str, Any]:
        """Everything that decides a run's numbers but its seed, as JSON: settings, digests, the random generator."""
        return {
            "recipe": dataclasses.asdict(self.recipe),
            "student": dataclasses.asdict(self.student.spec),
            "distilled": set_identity(self.distilled),
            "teacher": teacher_identity(self.teacher),
            "evaluation": test_set_identity(self.test_set),
            "soft_labels": self.soft_labels.identity if self.soft_labels else None,
            "random": random_identity(),
        }

    @property
    def teacher_top1(self) -> float | None:
        """The teacher's accuracy on the test images, in percent, computed once; None without one or the other."""
        if self.teacher is None or self.test_set is None:
            return None
        parts = {"teacher": teacher_identity(self.teacher), "test set": test_set_identity(self.test_set)}
        key = fingerprint({**parts, "normalisation": dataclasses.asdict(self.normalisation)})
        if key not in _TEACHER_TOP1:
            evaluate = make_evaluator(self.teacher.model, self.test_set, self.normalisation)
            _TEACHER_TOP1[key] = evaluate(self.teacher.params, {}).top1
        return _TEACHER_TOP1[key]

    @property
    def setting(self) -> str:
        """Twelve digits that tell tasks apart, whatever the seed."""
        return fingerprint({**self.identity(), "seed": None})[:12]

    @property
    def digests(self) -> dict[str, str | None]:
        """What a row cannot spell out, a digest each: all that `identity` has beside recipe and student."""
        identity = self.identity()
        identity["teacher"] = identity["teacher"] or (identity["soft_labels"] or {}).get("teacher")  # who made these
        return {name: identity[part] and fingerprint(identity[part]) for name, part in _DIGESTS.items()}

    @property
    def record(self) -> dict[str, Any]:
        """What a row of `results.jsonl` says of a run beside its figures: names, and settings as they ran."""
        optimizer = self.recipe.optimizer
        recipe = dataclasses.replace(self.program.recipe, optimizer=optimizer)
        teacher = self.teacher.info if self.teacher else None
        return {
            "method": self.distilled.method,
            "dataset": self.distilled.dataset,
            "model": self.student.spec.name,
            "teacher": teacher and teacher.architecture,
            "loss": "-".join(recipe.losses),
            "optimizer": optimizer.name,
            "ipc": self.distilled.ipc,
            "epochs": recipe.epochs,
            "recipe": dataclasses.asdict(recipe),
            "student": dataclasses.asdict(self.student.spec),
            "teacher_sha256": teacher and teacher.source_sha256,
            "soft_labels": self.soft_labels.info.record if self.soft_labels else None,
            "distilled": dict(self.distilled.provenance),
            "digests": self.digests,
        }

    def row(self, run: Run) -> dict[str, Any]:
        """A finished run as a row of `results.jsonl`: its record, accuracies in percent, seconds."""
        return {
            **self.record,
            **{name: getattr(run, name) for name in ("seed", "top1_last", "top1_best", "top5_last")},
            "train_seconds": round(run.train_seconds, 3),
            "images_per_second": round(run.images_per_second, 1),
            "history": [evaluation._asdict() for evaluation in run.history],
            "versions": versions(),
            "device": device(),
            "teacher_top1": self.teacher_top1,
        }

    def train(
        self,
        seeds: Sequence[int] = (0,),
        *,
        driver: Driver = "auto",
        seed_driver: SeedDriver | Mesh = "auto",
        checkpoints: Checkpoints | None = None,
        placement: Placement = "auto",
        on_epoch: Callable[[int, float], None] = lambda epochs, loss: None,
        on_run: Callable[[Run], None] = lambda run: None,
    ) -> list[Run]:
        """Train one student for each seed and test it.

        Args:
            seeds: one student for each.
            driver: what repeats the step, see `gift_jax.training.epochs.make_epoch`.
            seed_driver: how seeds run together, see `gift_jax.training.train.choose_seeds`.
            checkpoints: where the state is saved and taken up again.
            placement: whether the set stays on the device or streams to it; by itself the former if it fits.
            on_epoch: called with the epochs done since the last call, of any seed, and their mean loss; with 0 after
                those that a checkpoint holds.
            on_run: called with each finished run.

        Returns:
            One `Run` per seed, in order.

        Raises:
            GiftError: if the task has no test images.
            Diverged: if a loss or a weight is not finite, naming the step and the cause.
            Preempted: after SIGTERM or Ctrl-C, if there are checkpoints.
        """
        seeds = check_seeds(seeds)
        choices = (
            ("driver", driver, Driver),
            ("seed_driver", seed_driver, SeedDriver),
            ("placement", placement, Placement),
        )
        for name, value, known in choices:
            if not isinstance(value, Mesh) and value not in get_args(known):
                raise unknown_name(name, value, get_args(known))
        if jax.dtypes.canonicalize_dtype("float64") == "float64":
            raise GiftError("JAX's 64-bit mode is on, but students are trained in float32; turn jax_enable_x64 off")
        if self.test_set is None:
            raise GiftError("a task without a test set cannot be tested; give one")
        if self.recipe.schedule.warmup_epochs >= self.recipe.epochs:
            print(
                f"warning: the learning rate rises for {self.recipe.schedule.warmup_epochs} epochs and never reaches "
                f"its value in a run of {self.recipe.epochs}; give more epochs",
                file=sys.stderr,
            )
        mode = choose_seeds(len(seeds), self.program.batch_size) if seed_driver == "auto" else seed_driver
        mesh, streamed = mode if isinstance(mode, Mesh) else None, self.is_streamed(placement)
        data = self.data(placement)

        def epoch_of(program: Program) -> Epoch:
            if streamed:
                return make_streamed_epoch(program, self.distilled, mode)
            soft_labels = self.soft_labels if program.stored else None
            return make_epoch(program, driver=driver, seeds=mode, soft_labels=soft_labels)

        students = Students(
            self.program,
            self.learning_rate,
            data if mesh is None else place_on_mesh(data, mesh),
            make_phased_epoch(self.program, epoch_of),
            make_evaluator(self.student, self.test_set, self.normalisation, mesh=mesh),
            make_evaluation_weights(self.program, streamed=streamed),
            mode,
        )
        identity = self.identity() if checkpoints else {}
        return train_students(students, tuple(seeds), identity, checkpoints, on_epoch, on_run)


def train(
    recipe: Recipe,
    student: Model,
    distilled: DistilledSet | RecordSet,
    teacher: Teacher | None,
    test_set: EvaluationSet,
    *,
    soft_labels: StoredLabels | None = None,
    **options: Any,
) -> list[Run]:
    """Train one student for each seed and test it: `Task(...).train(...)`.

    Args:
        recipe: as of `Task`, like the next ones.
        student: architecture.
        distilled: images to train on.
        teacher: source of soft labels, or None.
        test_set: images to test on.
        soft_labels: stored ones in place of a teacher.
        options: `seeds` and the others of `Task.train`.

    Returns:
        One `Run` per seed, in order; accuracies in percent.

    Raises:
        GiftError: if the parts do not fit each other.
    """
    return Task(recipe, student, distilled, teacher, test_set, soft_labels).train(**options)


def _make_program(task: Task) -> Program:
    """Check that student, set, teacher or stored labels, and loss fit each other; bind them. Raises: GiftError."""
    recipe, student, distilled = task.recipe, task.student, task.distilled
    teacher, soft_labels = task.teacher, task.soft_labels
    shape = distilled.image_shape
    if shape != student.input_shape or distilled.num_classes != student.spec.num_classes:
        raise GiftError(
            f"student {student.spec.name!r} takes {student.input_shape} images of {student.spec.num_classes} classes, "
            f"the distilled set has {shape} of {distilled.num_classes}; create the student for this set"
        )
    if teacher is not None and (teacher.info.dataset, teacher.model.input_shape) != (distilled.dataset, shape):
        raise GiftError(
            f"the teacher is of {teacher.info.dataset} at {teacher.model.input_shape}, the distilled set of "
            f"{distilled.dataset} at {shape}; convert the teacher of that dataset and size"
        )
    if soft_labels is not None:
        if teacher is not None:
            raise GiftError("a teacher and stored soft labels are given; give one of them")
        if isinstance(distilled, RecordSet):
            raise GiftError("soft labels are stored for distilled sets, not for images that are decoded on the fly")
        check_set(distilled, soft_labels.info)
        recipe = adapt_recipe(recipe, soft_labels.info)
    elif teacher is None and distilled.soft_labels is None and set(recipe.losses) != {"ce"}:
        [loss, *_] = (loss for loss in recipe.losses if loss != "ce")
        raise GiftError(f"loss {loss!r} needs soft labels: give a teacher, or a set that stores them")
    if (recipe.jitter or recipe.lighting) and shape[2] != len(GREY):
        raise GiftError(
            f"the recipe changes the colours of {len(GREY)} channels, but {distilled.dataset} has {shape[2]}"
        )
    if split_strategy(recipe.augment)[0] and (wrong := _not_bytes(distilled)):
        raise GiftError(
            f"RandAugment changes 8-bit grey or RGB pixels, but the set's are {wrong}; choose another recipe"
        )
    _, normalisation = task.target_normalisation
    if len(normalisation.mean) != shape[2]:
        raise GiftError(
            f"the recipe normalises {len(normalisation.mean)} channels, but {distilled.dataset} has {shape[2]}; choose "
            "another recipe"
        )
    split_options(recipe)
    recipe = dataclasses.replace(recipe, optimizer=dataclasses.replace(recipe.optimizer, learning_rate=1.0))
    network, stored = teacher and teacher.model, soft_labels and soft_labels.info.compiled()
    program = Program(student, network, recipe, len(distilled.labels), distilled.pixel_space, normalisation, stored)
    _check_smallest_batch(program)
    return program


def _check_smallest_batch(program: Program) -> None:
    """Whether the student can be trained on a batch of one, if there is one. Raises: GiftError of its normalisation."""
    images, batch, steps = program.batching
    if min(batch, images - (steps - 1) * batch) == 1:
        model, one = program.model, jax.ShapeDtypeStruct((1, *program.model.input_shape), jnp.float32)
        jax.eval_shape(functools.partial(model.apply, train=True), *model.abstract(), one)


def _not_bytes(distilled: DistilledSet | RecordSet) -> str:
    """What a set's pixels are instead of 8-bit grey or RGB ones."""
    if distilled.image_shape[2] not in (1, 3):
        return f"of {distilled.image_shape[2]} channels"
    if isinstance(distilled, RecordSet) or (distilled.pixel_space, distilled.images.dtype) == ("raw", np.uint8):
        return ""
    return f"{distilled.pixel_space}, {distilled.images.dtype}"


def check_test_set(task: Task, test_set: EvaluationSet) -> None:
    """Whether images to test or to validate on fit the training images. Raises: GiftError."""
    distilled, student = task.distilled, task.student
    if (test_set.dataset, test_set.images.shape[1:]) != (distilled.dataset, student.input_shape):
        raise GiftError(
            f"the evaluation set is {test_set.dataset} at {test_set.images.shape[1:]}, the distilled set "
            f"{distilled.dataset} at {student.input_shape}; give the evaluation set of the same dataset and size"
        )
    if (tested := len(test_set.class_names)) != distilled.num_classes:
        raise GiftError(
            f"the evaluation set has {tested} classes, the distilled set {distilled.num_classes}; restrict both to the "
            "same classes"
        )
    if (distilled.pixel_space == "zca") != (test_set.pixel_space == "zca"):
        raise GiftError(
            f"the {distilled.method} set is {distilled.pixel_space}, the evaluation set {test_set.pixel_space}; whiten "
            "both (zca) or neither: `gift_jax.data.evaluation.whiten(test_set, zca)` takes the whitening of the real "
            "training set, which `gift_jax.data.zca.fit_zca` makes and `load_zca` reads"
        )
    ours, theirs = getattr(distilled, "class_names", ()), test_set.class_names
    if found := different_ids(ours, theirs):
        label = found[1]
        raise GiftError(
            f"label {label} is {ours[label]!r} in the {distilled.method} set and {theirs[label]!r} in the test images; "
            "give the test images the set's order by `class_order`, or convert the set with theirs"
        )
