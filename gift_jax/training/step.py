"""The training step: augment, ask the frozen teacher, differentiate the loss, update the student.

One pure function `(state, data, indices, key) -> (state, metrics)`, all on the device; `epochs.py` drives it.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gift_jax.augment import Augmentation, make_mixing, make_strategy
from gift_jax.augment_idc import GREY, random_colors
from gift_jax.crops import make_crop
from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.data.distilled import DistilledSet, PixelSpace
from gift_jax.data.fkd import StoredBatches, StoredInfo, StoredLabels
from gift_jax.data.pixels import to_input
from gift_jax.data.record_set import RecordSet
from gift_jax.errors import GiftError
from gift_jax.losses import LOSSES
from gift_jax.models import Model, Variables, cast
from gift_jax.optim import LOSS_READERS, averaging, make_optimizer, make_schedule, own, restart_steps, with_rate
from gift_jax.rand_augment import make_rand_augment, split_strategy
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.compiling import traced_for
from gift_jax.teachers.teacher import Network, Teacher
from gift_jax.training.cooling import split_options
from gift_jax.training.replay import adapt_recipe, check_set, logits_of, replay, weights_of


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


class Metrics(NamedTuple):
    """The batch-mean loss, and whether the teacher's and the student's logits were finite."""

    loss: jax.Array
    teacher_finite: jax.Array
    student_finite: jax.Array


class Batch(NamedTuple):
    """What the networks see, and what the loss needs beside their logits.

    images, normalised, augmented and mixed; labels, int [B]; partners, the rows that were mixed in, with labels of
    their own; kept, the share of itself that each image is; soft_labels, stored logits, if there are any.
    """

    images: jax.Array
    labels: jax.Array
    partners: jax.Array
    kept: jax.Array
    soft_labels: jax.Array | None
    weights: jax.Array | None = None
    epoch: jax.Array | int = 0


Step = Callable[[State, Data, Any, jax.Array], tuple[State, Metrics]]


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
        raise GiftError(f"RandAugment changes 8-bit pixels, but the set's are {wrong}; choose another recipe")
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
    return Program(student, model, recipe, count, distilled.pixel_space, normalisation, stored)


def _not_bytes(distilled: DistilledSet | RecordSet) -> str:
    """What a set's pixels are instead of 8-bit ones."""
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
    opt_state = own(program.optimizer().init(params), key)
    return State(params, batch_stats, opt_state, jnp.zeros((), jnp.int32))


class StepParts(NamedTuple):
    """The step in three functions, each of which reads its own part of a program.

    prepare: `(data, chosen, key, step) -> (Batch, dropout key)`; differentiate: `(params, batch_stats, teacher_params,
    Batch, dropout key) -> (gradients, batch_stats, metrics)`; update: `(params, opt_state, gradients, step) ->
    (params, opt_state, step + 1)`.
    revisit: None, or what an optimizer that reads the loss is given besides, as of `make_revisit`.
    """

    prepare: Callable[..., Any]
    differentiate: Callable[..., Any]
    update: Callable[..., Any]
    revisit: Callable[..., dict[str, Any]] | None = None


def make_step(program: Program) -> Step:
    """Build the training step `(state, data, indices int [B], key) -> (state, metrics)`, not jitted.

    With stored soft labels a `StoredBatches` of one batch takes the place of indices. The step's own key is
    `fold_in(key, state.step)`, so a run is decided by its seed alone.
    """
    revisit = make_revisit(program) if program.reads_loss else None
    return compose(StepParts(make_prepare(program), make_differentiate(program), make_update(program), revisit))


def compose(parts: StepParts) -> Step:
    """The step of its parts."""

    def step(state: State, data: Data, chosen: Any, key: jax.Array) -> tuple[State, Metrics]:
        batch, dropout_key = parts.prepare(data, chosen, key, state.step)
        student = (state.params, state.batch_stats)
        gradients, batch_stats, metrics = parts.differentiate(*student, data.teacher_params, batch, dropout_key)
        extra = {}
        if parts.revisit:
            extra = parts.revisit(state.batch_stats, data.teacher_params, batch, dropout_key, metrics.loss, gradients)
        params, opt_state, done = parts.update(state.params, state.opt_state, gradients, state.step, **extra)
        return State(params, batch_stats, opt_state, done), metrics

    return step


def make_prepare(program: Program) -> Callable[[Data, Any, jax.Array, jax.Array], tuple[Batch, jax.Array]]:
    """Build `(data, chosen, key, step) -> (Batch, dropout key)`: draw or replay a batch."""
    make_batch = _make_replay(program, program.stored) if program.stored else make_drawing(program)

    def prepare(data: Data, chosen: Any, key: jax.Array, step: jax.Array) -> tuple[Batch, jax.Array]:
        *keys, dropout_key = jax.random.split(jax.random.fold_in(key, step), 4)
        batch = make_batch(data, chosen, keys)
        return batch._replace(epoch=step // program.steps_per_epoch), dropout_key

    return prepare


def make_differentiate(
    program: Program,
) -> Callable[[Variables, Variables, Variables | None, Batch, jax.Array], tuple[Variables, Variables, Metrics]]:
    """Build `(params, batch_stats, teacher_params, Batch, dropout key) -> (gradients, batch_stats, metrics)`."""
    mean_loss = _make_mean_loss(program)

    def differentiate(
        params: Variables,
        batch_stats: Variables,
        teacher_params: Variables | None,
        batch: Batch,
        dropout_key: jax.Array,
    ) -> tuple[Variables, Variables, Metrics]:
        teacher_logits = jax.lax.stop_gradient(_teacher_logits(program, teacher_params, batch))
        values = jax.value_and_grad(mean_loss, has_aux=True)(params, batch_stats, teacher_logits, batch, dropout_key)
        (loss, (logits, changed)), gradients = values
        metrics = Metrics(loss, jnp.isfinite(teacher_logits).all(), jnp.isfinite(logits).all())
        return gradients, changed, metrics

    return differentiate


def _make_mean_loss(
    program: Program,
) -> Callable[[Variables, Variables, jax.Array, Batch, jax.Array], tuple[jax.Array, tuple[jax.Array, Variables]]]:
    """Build `(params, batch_stats, teacher's logits, Batch, dropout key) -> (loss, (logits, batch_stats))`."""
    recipe = program.recipe
    options, cooling = split_options(recipe)
    loss = functools.partial(LOSSES[recipe.loss], **options)

    def mean_loss(
        params: Variables, batch_stats: Variables, teacher_logits: jax.Array, batch: Batch, dropout_key: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, Variables]]:
        images, labels, partners, kept, _, image_weights, epoch = batch
        inputs = images.astype(program.dtype(images))
        weights = cast(params, inputs.dtype)
        logits, changed = program.model.apply(weights, batch_stats, inputs, train=True, key=dropout_key)
        logits = logits.astype(images.dtype)
        criterion = functools.partial(loss, temperature=cooling.at(epoch).astype(logits.dtype)) if cooling else loss
        losses = criterion(logits, teacher_logits, labels)
        if recipe.mix != "none" and recipe.mix_labels:
            losses = kept * losses + (1 - kept) * criterion(logits, teacher_logits, labels[partners])
        if image_weights is not None:
            losses = image_weights * losses
        return jnp.mean(losses), (logits, changed)

    return mean_loss


def make_revisit(program: Program) -> Callable[..., dict[str, Any]]:
    """Build `(batch_stats, teacher_params, Batch, dropout key, loss, gradients) -> extra arguments of an update`.

    They are the loss and its gradient, and the loss of this batch as a function of the parameters, under optax's names.
    """
    mean_loss = _make_mean_loss(program)

    def revisit(
        batch_stats: Variables,
        teacher_params: Variables | None,
        batch: Batch,
        dropout_key: jax.Array,
        loss: jax.Array,
        gradients: Variables,
    ) -> dict[str, Any]:
        teacher_logits = jax.lax.stop_gradient(_teacher_logits(program, teacher_params, batch))

        def loss_of(params: Variables) -> jax.Array:
            # Own gradients have no derivative in forward mode.
            with traced_for("any"), jax.numpy_dtype_promotion("strict"):
                return mean_loss(params, batch_stats, teacher_logits, batch, dropout_key)[0]

        return {"value": loss, "grad": gradients, "value_fn": loss_of, "obj_fn": loss_of}

    return revisit


def make_update(
    program: Program,
) -> Callable[..., tuple[Variables, optax.OptState, jax.Array]]:
    """Build `(params, opt_state, gradients, step, **extra) -> (params, opt_state, step + 1)`.

    extra is what an optimizer that reads the loss is given besides (`make_revisit`).
    """
    optimizer = program.optimizer()

    def update(
        params: Variables, opt_state: optax.OptState, gradients: Variables, step: jax.Array, **extra: Any
    ) -> tuple[Variables, optax.OptState, jax.Array]:
        # optax raises floats to integer counts, which the tests' strict promotion would refuse.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(gradients, opt_state, params, **extra)
        changed: Any = optax.apply_updates(params, updates)
        return changed, opt_state, step + 1

    return update


def make_drawing(program: Program) -> Callable[[Data, jax.Array, Sequence[jax.Array]], Batch]:
    """Build `(data, indices, keys) -> Batch` that draws crops, augmentation and mixing from keys."""
    recipe = program.recipe
    crop = make_crop(factor=recipe.factor, shuffle=recipe.shuffle, smallest_crop=recipe.smallest_crop)
    rand, strategy = split_strategy(recipe.augment)
    pixelwise, augment = make_rand_augment(rand), make_strategy(strategy, single=recipe.single_operation)
    mix = make_mixing(recipe.mix, recipe.mix_probability)
    recolor = make_recoloring(program)

    def draw(data: Data, indices: jax.Array, keys: Sequence[jax.Array]) -> Batch:
        crop_key, augment_key, mix_key = keys
        pixels = pixelwise(jax.random.fold_in(crop_key, 3), data.images[indices])
        images = to_input(pixels, program.pixel_space, program.normalisation)
        images = augment(augment_key, recolor(augment_key, crop(crop_key, images)))
        images, partners, kept = mix(mix_key, images)
        stored = None if data.soft_labels is None else data.soft_labels[indices].astype(images.dtype)
        if stored is not None and recipe.mix != "none":
            stored = kept * stored + (1 - kept) * stored[partners]
        return Batch(images, data.labels[indices], partners, kept, stored)

    return draw


def make_recoloring(program: Program) -> Augmentation:
    """Build `(key, images [B, H, W, C]) -> images` that changes the colours of pixels from before normalisation."""
    strength, spread = program.recipe.jitter, program.recipe.lighting
    if not strength and not spread:
        return lambda key, images: images

    def recolor(key: jax.Array, images: jax.Array) -> jax.Array:
        statistics = (program.normalisation.mean, program.normalisation.std)
        mean, std = (jnp.asarray(values, images.dtype)[None, None, None, :] for values in statistics)
        raw = random_colors(jax.random.fold_in(key, 1), images * std + mean, strength, spread)
        return (raw - mean) / std

    return recolor


def _make_replay(program: Program, info: StoredInfo) -> Callable[[Data, StoredBatches, Sequence[jax.Array]], Batch]:
    """Build `(data, stored batch, keys) -> Batch`, for which nothing is drawn."""

    def prepare(data: Data, batch: StoredBatches, keys: Sequence[jax.Array]) -> Batch:
        del keys
        images = data.images[batch.indices]
        images, kept = replay(images, batch, info, program.pixel_space, program.normalisation)
        labels, logits = data.labels[batch.indices], logits_of(batch, info).astype(images.dtype)
        return Batch(images, labels, batch.partners, kept, logits, weights_of(batch))

    return prepare


def _teacher_logits(program: Program, teacher_params: Variables | None, batch: Batch) -> jax.Array:
    """The teacher's logits on this very batch; else the stored ones; else, for `ce`, which reads none, zeros."""
    images = batch.images
    if program.teacher is not None:
        inputs = images.astype(program.dtype(images))
        params = cast(typing.cast(Variables, teacher_params), inputs.dtype)
        return program.teacher.apply(params, {}, inputs)[0].astype(images.dtype)
    if batch.soft_labels is None:
        return jnp.zeros((len(images), program.model.spec.num_classes), images.dtype)
    return batch.soft_labels
