"""The training step: draw a batch, ask the frozen teacher, differentiate the loss, update the student.

One pure function `(state, data, indices, key) -> (state, metrics)`, all on the device; `epochs.py` drives it.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gift_jax.losses import LOSSES
from gift_jax.models import Variables
from gift_jax.runtime.compiling import tracing_for_platform
from gift_jax.training.batch import Batch, make_prepare
from gift_jax.training.cooling import split_options
from gift_jax.training.program import Data, Program, State


class Metrics(NamedTuple):
    """The batch-mean loss, and whether the teacher's and the student's logits were finite."""

    loss: jax.Array
    teacher_finite: jax.Array
    student_finite: jax.Array


Step = Callable[[State, Data, Any, jax.Array], tuple[State, Metrics]]


def make_step(program: Program) -> Step:
    """Build the training step `(state, data, indices int [B], key) -> (state, metrics)`, not jitted.

    With stored soft labels a `StoredBatches` of one batch takes the place of indices. The step's own key is
    `fold_in(key, state.step)`, so a run is decided by its seed alone.
    """
    revisit = make_revisit(program) if program.reads_loss else None
    return compose(make_prepare(program), make_differentiate(program), make_update(program), revisit)


def compose(
    prepare: Callable[..., Any],
    differentiate: Callable[..., Any],
    update: Callable[..., Any],
    revisit: Callable[..., Any] | None = None,
) -> Step:
    """The step of its parts, each of which reads its own part of a program: what `make_prepare` and so on build.

    Args: revisit, of an optimizer that reads the loss.
    """

    def step(state: State, data: Data, chosen: Any, key: jax.Array) -> tuple[State, Metrics]:
        batch, dropout_key = prepare(data, chosen, key, state.step)
        seen = (state.batch_stats, data.teacher_params, batch, dropout_key)
        gradients, batch_stats, metrics = differentiate(state.params, *seen)
        extra = {}
        if revisit:
            loss_of = revisit(*seen)
            extra = {"value": metrics.loss, "grad": gradients, "value_fn": loss_of, "obj_fn": loss_of}  # optax's names
        params, opt_state, done = update(state.params, state.opt_state, gradients, state.step, **extra)
        return State(params, batch_stats, opt_state, done), metrics

    return step


def make_differentiate(program: Program) -> Callable[..., tuple[Variables, Variables, Metrics]]:
    """Build `(params, batch_stats, teacher_params, Batch, dropout key) -> (gradients, batch_stats, metrics)`."""
    mean_loss = _make_mean_loss(program)

    def differentiate(
        params: Variables, batch_stats: Variables, teacher_params: Any, batch: Batch, dropout_key: jax.Array
    ) -> tuple[Variables, Variables, Metrics]:
        teacher_logits = jax.lax.stop_gradient(_teacher_logits(program, teacher_params, batch))
        values = jax.value_and_grad(mean_loss, has_aux=True)(params, batch_stats, teacher_logits, batch, dropout_key)
        (loss, (logits, changed)), gradients = values
        metrics = Metrics(loss, jnp.isfinite(teacher_logits).all(), jnp.isfinite(logits).all())
        return gradients, changed, metrics

    return differentiate


def _make_mean_loss(program: Program) -> Callable[..., tuple[jax.Array, tuple[jax.Array, Variables]]]:
    """Build `(params, batch_stats, teacher's logits, Batch, dropout key) -> (loss, (logits, batch_stats))`."""
    recipe = program.recipe
    options, cooling = split_options(recipe)
    loss = functools.partial(LOSSES[recipe.loss], **options)

    def mean_loss(
        params: Variables, batch_stats: Variables, teacher_logits: jax.Array, batch: Batch, dropout_key: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, Variables]]:
        images, labels, partners, kept, _, image_weights, epoch = batch
        inputs = images.astype(program.dtype(images))
        weights = program.model.cast(params, inputs.dtype)
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


def make_revisit(program: Program) -> Callable[..., Callable[[Variables], jax.Array]]:
    """Build `(batch_stats, teacher_params, Batch, dropout key) -> (params -> loss)`: the loss of a batch once more."""
    mean_loss = _make_mean_loss(program)

    def revisit(
        batch_stats: Variables, teacher_params: Any, batch: Batch, dropout_key: jax.Array
    ) -> Callable[[Variables], jax.Array]:
        teacher_logits = jax.lax.stop_gradient(_teacher_logits(program, teacher_params, batch))

        def loss_of(params: Variables) -> jax.Array:
            # Own gradients have no derivative in forward mode.
            with tracing_for_platform("any"), jax.numpy_dtype_promotion("strict"):
                return mean_loss(params, batch_stats, teacher_logits, batch, dropout_key)[0]

        return loss_of

    return revisit


def make_update(program: Program) -> Callable[..., tuple[Variables, optax.OptState, jax.Array]]:
    """Build `(params, opt_state, gradients, step, **extra) -> (params, opt_state, step + 1)`.

    extra is what an optimizer that reads the loss is given besides.
    """
    optimizer = program.optimizer(1.0)  # an update takes the rate from the state

    def update(
        params: Variables, opt_state: optax.OptState, gradients: Variables, step: jax.Array, **extra: Any
    ) -> tuple[Variables, optax.OptState, jax.Array]:
        # optax raises floats to integer counts, which the tests' strict promotion would refuse.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(gradients, opt_state, params, **extra)
        changed: Any = optax.apply_updates(params, updates)
        return changed, opt_state, step + 1

    return update


def _teacher_logits(program: Program, teacher_params: Any, batch: Batch) -> jax.Array:
    """The teacher's logits on this very batch; else the stored ones; else, for `ce`, which reads none, zeros."""
    images = batch.images
    if program.teacher is not None:
        inputs = images.astype(program.dtype(images))
        params = program.teacher.cast(teacher_params, inputs.dtype)
        return program.teacher.apply(params, {}, inputs)[0].astype(images.dtype)
    if batch.soft_labels is None:
        return jnp.zeros((len(images), program.model.spec.num_classes), images.dtype)
    return batch.soft_labels
