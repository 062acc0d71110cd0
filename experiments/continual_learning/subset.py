"""Some classes of a dataset: those of a step, and sets, teachers and evaluation sets restricted alike."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.models import Model, get_model
from gift_jax.teachers.teacher import Teacher, make_teacher


def class_steps(num_classes: int, steps: int, seed: int) -> tuple[tuple[int, ...], ...]:
    """Class ids in the order of a seed, however many steps, cut into steps of equal size (larger ones first)."""
    order = np.random.default_rng(seed).permutation(num_classes)
    return tuple(tuple(part.tolist()) for part in np.array_split(order, steps))


def restrict(distilled: DistilledSet, classes: Sequence[int]) -> DistilledSet:
    """The images and soft labels of some classes, in ascending order, whose labels become 0, 1, ..."""
    rows, labels = _select(distilled.labels, classes)
    known = range(distilled.num_classes) if distilled.classes is None else distilled.classes
    soft_labels = None if distilled.soft_labels is None else distilled.soft_labels[rows][:, list(classes)]
    arrays = {"images": distilled.images[rows], "labels": labels, "soft_labels": soft_labels}
    return dataclasses.replace(
        distilled,
        **arrays,
        classes=tuple(known[label] for label in classes),
        class_names=tuple(distilled.class_names[label] for label in classes) if distilled.class_names else (),
    )


def restrict_evaluation(evaluation_set: EvaluationSet, classes: Sequence[int]) -> EvaluationSet:
    """The test images of some classes, labelled as `restrict` labels them."""
    rows, labels = _select(evaluation_set.labels, classes)
    names = tuple(evaluation_set.class_names[label] for label in classes)
    return dataclasses.replace(evaluation_set, images=evaluation_set.images[rows], labels=labels, class_names=names)


def restrict_teacher(teacher: Teacher, classes: Sequence[int]) -> Teacher:
    """The teacher with the logits of some classes only: its probabilities given that the image is of one of them."""
    info = dataclasses.replace(teacher.info, num_classes=len(classes))
    # The last layer's arrays are those whose shape depends on the number of classes, whatever the architecture.
    zeros: Any = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), get_model(info.spec).abstract())
    blank = make_teacher(info, *zeros)

    def select(whole: jax.Array, part: jax.Array) -> jax.Array:
        axes = [axis for axis, size in enumerate(whole.shape) if size != part.shape[axis]]
        return jnp.take(whole, np.array(classes, np.int32), axis=axes[0]) if axes else whole

    return blank._replace(params=jax.tree.map(select, teacher.params, blank.params))


def restrict_model(model: Model, classes: Sequence[int]) -> Model:
    """The architecture with as many outputs as there are classes."""
    return get_model(dataclasses.replace(model.spec, num_classes=len(classes)))


def _select(labels: np.ndarray, classes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the classes, and their labels' places among these."""
    rows = np.flatnonzero(np.isin(labels, classes))
    return rows, np.searchsorted(classes, labels[rows]).astype(np.int32)
