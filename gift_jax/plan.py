"""What a training is going to do, said before it starts: data, shapes, teacher, recipe, device, memory."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.data.distilled import DistilledSet
from gift_jax.runtime.provenance import device
from gift_jax.task import Task
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.program import Data, init_state
from gift_jax.training.step import make_step
from gift_jax.training.streaming import place


def training_bytes(task: Task) -> int:
    """Device memory of one training step in bytes: arguments, results and temporaries, as the compiler counts them.

    Of a set that streams, this is with one batch of it; up to three more wait on the device. Nothing is put on the
    device; the step is compiled.
    """
    program, distilled = task.program, task.distilled
    assert isinstance(distilled, DistilledSet)
    state = jax.eval_shape(lambda: init_state(program, jax.random.key(0), task.learning_rate))
    arrays = (distilled.images, distilled.labels, distilled.soft_labels)
    count = program.batch_size if task.is_streamed() else program.num_images
    images, labels, soft_labels = jax.tree.map(
        lambda array: jax.ShapeDtypeStruct((count, *array.shape[1:]), array.dtype), arrays
    )
    weights = task.teacher and task.teacher.params
    params = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), weights)
    data = Data(images, labels, soft_labels, params)
    chosen: Any = jax.ShapeDtypeStruct((program.batch_size,), jnp.int32)
    if task.soft_labels is not None:
        batches, _ = task.soft_labels.epoch(0)
        chosen = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape[1:], array.dtype), batches)
    key = jax.eval_shape(lambda: jax.random.key(0))
    step = jax.jit(make_step(program), donate_argnums=0)
    used: Any = step.lower(state, data, chosen, key).compile().memory_analysis()
    sizes = (used.argument_size_in_bytes, used.output_size_in_bytes, used.temp_size_in_bytes)
    return sum(sizes) - used.alias_size_in_bytes


def work(epochs: int, steps: int, batch_size: int) -> str:
    """How much training that is: `1,000 epochs of 2 steps of 50 images`. Args: steps, of an epoch."""
    return f"{epochs:,} epochs of {steps:,} step{'s' * (steps != 1)} of {batch_size:,} images"


def describe(task: Task, seeds: Sequence[int]) -> list[tuple[str, str]]:
    """The plan as (heading, text) lines. Raises: GiftError if a step does not fit the device."""
    program, distilled, teacher, soft_labels = task.program, task.distilled, task.teacher, task.soft_labels
    recipe, optimizer = program.recipe, task.recipe.optimizer
    assert isinstance(distilled, DistilledSet)
    params, _ = task.student.abstract()
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    labels = "stored soft labels" if soft_labels else "the set's labels"
    labels = labels if teacher is None else f"teacher {teacher.info.architecture}"
    stored = f"soft labels stored in {soft_labels.directory}: {soft_labels.info.describe()}" if soft_labels else ""
    spec = task.student.spec
    sizes = f"{spec.image_size} pixels" + "".join(f", {name} {value}" for name, value in spec.options)
    unflipped = not get_dataset(distilled.dataset).mirrors and "flip" not in recipe.augment
    augmentation = recipe.augment + (f" (no flip: {distilled.dataset} is not mirrored)" if unflipped else "")
    placed = place(distilled, stored=soft_labels is not None)
    where = "streams from the host" if placed.streamed else "is kept on the device"
    lines = [
        (
            "distilled set",
            f"{distilled.method}, {distilled.dataset}, {distilled.ipc} per class: {_array(distilled.images)}, "
            f"{distilled.pixel_space} pixels{'' if distilled.soft_labels is None else ', stored soft labels'}",
        ),
        ("teacher", _teacher(teacher) if soft_labels is None else stored),
        ("student", f"{spec.name} ({sizes}) under {labels}, {count:,} parameters"),
        ("normalisation", _normalisation(task)),
        (
            "recipe",
            f"loss {', then '.join(recipe.losses)}, {optimizer.name} at {optimizer.learning_rate:g}, weight decay "
            f"{optimizer.weight_decay:g}, schedule {recipe.schedule.name}, augmentation {augmentation}, mix "
            f"{recipe.mix}, {recipe.precision}",
        ),
        (
            "work",
            f"{len(seeds)} seeds ({', '.join(map(str, seeds))}) of "
            + work(recipe.epochs, program.steps_per_epoch, program.batch_size),
        ),
        ("device", device()),
        ("placement", f"the set {where}: {placed.why}"),
        ("memory", f"{training_bytes(task) / 2**30:.2f} GiB on the device while training"),
    ]
    if task.test_set is not None:
        tests = f"{_array(task.test_set.images)}, {recipe.num_evaluations} evaluations, the last after the last epoch"
        lines.insert(3, ("evaluation set", tests))
    return lines


def _normalisation(task: Task) -> str:
    """Which normalisation the networks' inputs have, and what it is for the set's pixels."""
    if task.distilled.pixel_space == "zca":
        return "none: the set is whitened, and so are the test images"
    stated, (whose, target) = task.stated_normalisation, task.target_normalisation
    inputs = f"{_numbers(target)} ({whose}), test images too"
    if task.distilled.pixel_space == "raw" or stated == target:
        return inputs
    if stated is None:
        return f"{inputs}; the set is normalised, but does not state by what: give its mean and std on conversion"
    return f"{inputs}; the set was normalised by {_numbers(stated)} and is normalised anew"


def _numbers(normalisation: Normalisation) -> str:
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (normalisation.mean, normalisation.std))
    return f"mean {mean}, std {std}"


def _array(array: np.ndarray) -> str:
    return f"{array.dtype}{list(array.shape)}, {array.nbytes / 2**20:.1f} MiB"


def _teacher(teacher: Teacher | None) -> str:
    if teacher is None:
        return "none: the labels stored with the set"
    info, check = teacher.info, teacher.info.verification
    described = f"{info.architecture} of {info.dataset}, from {info.source_file}"
    if check is None:
        return described
    agreement = f"top-1 agreement {100 * check.top1_agreement:.0f} %"
    return f"{described}; logits within {check.max_relative:.1e} of PyTorch's, {agreement}"
