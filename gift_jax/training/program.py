"""What a run is made of: the program that is compiled, the data that it reads, and the state that it changes."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.data.distilled import DistilledSet, PixelSpace
from gift_jax.data.fkd import StoredInfo, StoredLabels
from gift_jax.data.record_set import RecordSet
from gift_jax.errors import GiftError
from gift_jax.models import Model, Variables
from gift_jax.optim import (
    LOSS_READERS,
    averaging,
    copy_and_rekey_state,
    make_optimizer,
    make_schedule,
    restart_steps,
    with_rate,
)
from gift_jax.pixels.colors import GREY
from gift_jax.pixels.rand_augment import split_strategy
from gift_jax.recipes.recipe import Recipe
from gift_jax.teachers.teacher import Network, Teacher
from gift_jax.training.cooling import split_options
from gift_jax.training.replay import adapt_recipe, check_set


class Program(NamedTuple):
    """Everything that is compiled into the step; hashable, so that equal programs share one compilation."""

    model: Model
    teacher: Network | None
    recipe: Recipe
    num_images: int
    pixel_space: PixelSpace
    normalisation: Normalisation
    stored: StoredInfo | None = None

    @property
    def batch_size(self) -> int:
        """Images a step; the last step of an epoch takes what remains."""
        return self.recipe.resolve_batch_size(self.num_images)

    @property
    def steps_per_epoch(self) -> int:
        """Steps an epoch, the remainder's included."""
        whole = -(-self.num_images // self.batch_size)
        return min(whole, self.recipe.max_steps or whole)

    @property
    def batching(self) -> tuple[int, int, int]:
        """Images, images a step, and steps an epoch."""
        return self.num_images, self.batch_size, self.steps_per_epoch

    def dtype(self, images: jax.Array) -> jnp.dtype:
        """Of the networks' arithmetic: the images' own, unless the recipe asks for less."""
        return images.dtype if self.recipe.precision == "float32" else jnp.dtype(self.recipe.precision)

    def optimizer(self) -> optax.GradientTransformationExtraArgs:
        """The optax transformation with the schedule in steps; the learning rate is in its state."""
        recipe, steps = self.recipe, self.steps_per_epoch
        restarts = restart_steps(recipe.schedule, recipe.epochs, steps)

        def at_rate(rate: Any) -> optax.GradientTransformation:
            schedule = make_schedule(recipe.schedule, 1.0, recipe.epochs, steps)
            return make_optimizer(recipe.optimizer, lambda step: rate * schedule(step), restarts)

        rated = with_rate(at_rate, recipe.optimizer.learning_rate)
        return rated if recipe.ema is None else averaging(rated, recipe.ema)

    @property
    def reads_loss(self) -> bool:
        """Whether the optimizer asks for the loss, and so for all that it is computed from."""
        return self.recipe.optimizer.name in LOSS_READERS

    def compiled(self) -> "Program":
        """The program as it is compiled: with a learning rate of 1, for the rate is in the state, and for any bank."""
        optimizer = dataclasses.replace(self.recipe.optimizer, learning_rate=1.0)
        recipe, stored = dataclasses.replace(self.recipe, optimizer=optimizer), self.stored and self.stored.compiled()
        return self._replace(recipe=recipe, stored=stored)


class Data(NamedTuple):
    """What the step reads and never changes: the distilled set and the teacher's weights, on the device."""

    images: jax.Array
    labels: jax.Array
    soft_labels: jax.Array | None
    teacher_params: Variables | None


class State(NamedTuple):
    """What the step changes; step counts from 0."""

    params: Variables
    batch_stats: Variables
    opt_state: optax.OptState
    step: jax.Array


def make_program(
    recipe: Recipe,
    student: Model,
    distilled: DistilledSet | RecordSet,
    teacher: Teacher | None,
    soft_labels: StoredLabels | None = None,
) -> Program:
    """Check that student, set, teacher or stored labels, and loss fit each other; bind them. Raises: GiftError."""
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
    usual = teacher.info.normalisation if teacher else get_dataset(distilled.dataset).normalisation
    normalisation = recipe.normalisation or usual
    if len(normalisation.mean) != shape[2]:
        raise GiftError(
            f"the recipe normalises {len(normalisation.mean)} channels, but {distilled.dataset} has {shape[2]}; choose "
            "another recipe"
        )
    split_options(recipe)
    model = teacher.model if teacher else None
    count, stored = len(distilled.labels), soft_labels and soft_labels.info
    program = Program(student, model, recipe, count, distilled.pixel_space, normalisation, stored)
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


def make_data(distilled: DistilledSet, teacher: Teacher | None) -> Data:
    """Put a distilled set and its teacher's weights on the device."""
    soft_labels = None if distilled.soft_labels is None else jnp.asarray(distilled.soft_labels)
    teacher_params = jax.tree.map(jnp.asarray, teacher.params) if teacher else None
    return Data(jnp.asarray(distilled.images), jnp.asarray(distilled.labels), soft_labels, teacher_params)


def init_state(program: Program, key: jax.Array) -> State:
    """Draw a student from PyTorch's initial distribution and an optimizer state for it."""
    params, batch_stats = program.model.init(key)
    opt_state = copy_and_rekey_state(program.optimizer().init(params), key)
    return State(params, batch_stats, opt_state, jnp.zeros((), jnp.int32))
