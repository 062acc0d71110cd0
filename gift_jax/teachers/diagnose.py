"""Why a teacher scores far below what was published: another normalisation, or classes in another order.

Users of released teachers meet both most often (23 % instead of 50, 0.5 instead of 40). Normalisations that are nearly
alike can change accuracy by too little to be told apart; a first BatchNorm has kept which one its images had.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from scipy.optimize import linear_sum_assignment

from gift_jax.data.datasets import CIFAR_NORMALISATION, DIGITS_NORMALISATION, IMAGENET_NORMALISATION, Normalisation
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.network_input import to_input
from gift_jax.evaluate import Accuracy, in_batches, label_ranks
from gift_jax.models import Model, Network, Variables
from gift_jax.models.norms import BatchNorm, ConvNorm
from gift_jax.pixels.dsa import shift, shift_limit
from gift_jax.teachers.teacher import Teacher

BATCH_SIZE = 500

# What the distillation methods' code divides by, and what users most often put in its place.
KNOWN: Mapping[str, Normalisation] = {
    "cifar (GIFT, SRe2L)": CIFAR_NORMALISATION,
    "imagenet (torchvision, RDED)": IMAGENET_NORMALISATION,
    "cifar-10, std of all pixels": Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar-100 (G-VBSM)": Normalisation((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "tiny-imagenet (SRe2L)": Normalisation((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)),
    "half": Normalisation((0.5,) * 3, (0.5,) * 3),
    "none": Normalisation((0.0,) * 3, (1.0,) * 3),
    "digits": DIGITS_NORMALISATION,
    "mnist": Normalisation((0.1307,), (0.3081,)),
    "half, grey": Normalisation((0.5,), (0.5,)),
    "none, grey": Normalisation((0.0,), (1.0,)),
}


@functools.partial(jax.jit, static_argnums=(0, 1))
def _predict(
    model: Network, normalisation: Normalisation, params: Variables, images: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    logits, _ = model.apply(params, {}, to_input(images, "raw", normalisation))
    return jnp.argmax(logits, axis=1), label_ranks(logits, labels)


def predict(
    teacher: Teacher, evaluation_set: EvaluationSet, normalisation: Normalisation
) -> tuple[np.ndarray, Accuracy]:
    """Classify a whole evaluation set under a normalisation. Returns: the highest classes, int [N], and accuracy."""
    classify = functools.partial(_predict, teacher.model, normalisation, teacher.params)
    images, labels = evaluation_set.images, evaluation_set.labels
    classes, ranks = in_batches(classify, BATCH_SIZE, images, labels, pad=False)
    top1, top5 = (100 * float((ranks < k).mean()) for k in (1, 5))
    return classes, Accuracy(top1, top5)


def confusion_matrix(labels: np.ndarray, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """How many images of each label (rows) were given each class (columns). Args: int [N]. Returns: int [C, C]."""
    pairs = labels.astype(np.int64) * num_classes + classes
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def best_order(confusion: np.ndarray) -> np.ndarray:
    """The label of each output, int [C], that puts most images of a confusion matrix, int [C, C], on the diagonal."""
    # An output that was never given keeps its own label: among equals, the diagonal wins.
    weights = confusion.astype(np.float64) + 1e-6 * np.eye(len(confusion))
    rows, columns = linear_sum_assignment(weights, maximize=True)
    order = np.empty(len(confusion), np.int64)
    order[columns] = rows
    return order


class Finding(NamedTuple):
    """Accuracy under a normalisation, and what it would be if each output stood for another label.

    order: int [C], the label of each output. reordered: top-1 in percent under orders that were estimated from
    the other half of the images, so that chance agreement does not count.
    """

    name: str
    normalisation: Normalisation
    accuracy: Accuracy
    reordered: float
    order: np.ndarray


def examine(teacher: Teacher, evaluation_set: EvaluationSet, name: str, normalisation: Normalisation) -> Finding:
    """Measure a teacher under a normalisation, with its outputs as they are and in the best order."""
    classes, accuracy = predict(teacher, evaluation_set, normalisation)
    labels, count, hits = evaluation_set.labels, teacher.info.num_classes, 0
    for half in (0, 1):
        fit, held = slice(half, None, 2), slice(1 - half, None, 2)
        order = best_order(confusion_matrix(labels[fit], classes[fit], count))
        hits += int((order[classes[held]] == labels[held]).sum())
    whole = best_order(confusion_matrix(labels, classes, count))
    return Finding(name, normalisation, accuracy, 100 * hits / len(labels), whole)


def diagnose(teacher: Teacher, evaluation_set: EvaluationSet) -> list[Finding]:
    """`examine` under the teacher's own normalisation first, then under every other known one for its channels."""
    return [examine(teacher, evaluation_set, *candidate) for candidate in _candidates(teacher.info.normalisation)]


def _candidates(own: Normalisation) -> list[tuple[str, Normalisation]]:
    others = [(name, other) for name, other in KNOWN.items() if len(other.mean) == len(own.mean) and other != own]
    return [("its own", own), *others]


def class_order(finding: Finding, names: Sequence[str]) -> tuple[str, ...]:
    """Class names in the order of the teacher's outputs: the lines of a class-order file."""
    return tuple(str(names[label]) for label in finding.order)


COUNTED = 1000  # images that the first layer is shown
# Measured with the filters of four networks on CIFAR-10: at most 0.005 under the normalisation of the training, also if
# that cropped and resized at random, and 0.006 or more under other known ones, but for two that are nearly equal.
NEAR, ALIKE = 0.006, 0.002


class Counted(NamedTuple):
    """How far a first BatchNorm's running statistics are from those that images give it under a normalisation.

    distance: the median over channels of the Kullback-Leibler divergence of normal distributions, averaged over both
    ways, for the nearest of: images as they are, and shifted with black pixels, or with zeros after normalising.
    """

    name: str
    normalisation: Normalisation
    distance: float


def count_first_layer(
    model: Model, params: Variables, batch_stats: Variables, images: np.ndarray, own: Normalisation
) -> list[Counted]:
    """Compare the statistics under a teacher's own normalisation first, then under every other known one.

    Args: params, batch_stats, BatchNorm not folded; images, uint8 [N, H, W, C]. Returns: nothing if the network does
    not begin with a convolution and a BatchNorm.
    """
    layers = [part for _, part in nnx.iter_modules(model.merge(params, batch_stats)) if isinstance(part, ConvNorm)]
    first = next((layer for layer in layers if layer.conv.in_features == images.shape[-1]), None)
    if first is None or not isinstance(first.norm, BatchNorm):
        return []
    (graphdef, arrays), epsilon = nnx.split(first.conv), first.norm.epsilon
    mean, var = (np.asarray(x[...], np.float64) for x in (first.norm.mean, first.norm.var))
    shown, limit = images[:: max(1, len(images) // COUNTED)][:COUNTED], shift_limit(images.shape[1])
    down, right = (number % (2 * limit + 1) - limit for number in divmod(np.arange(len(shown)), 2 * limit + 1))
    found = []
    for name, candidate in _candidates(own):
        scale = (jnp.asarray(x, jnp.float32)[None, None, None] for x in (candidate.mean, candidate.std))
        moments = functools.partial(_moments, graphdef, arrays, *scale)
        means, squares = in_batches(moments, 100, shown, down, right, pad=False).mean(0, dtype=np.float64)
        distances = _divergence(means, squares - means**2 + epsilon, mean, var + epsilon)
        found.append(Counted(name, candidate, float(np.median(distances, axis=-1).min())))
    return found


def told_normalisation(counted: Sequence[Counted]) -> Counted | None:
    """The normalisation that a first BatchNorm tells, the teacher's own if it is as near as any; None if none is."""
    nearest = min(counted, key=lambda one: one.distance, default=None)
    if nearest is None or nearest.distance > NEAR:
        return None
    return counted[0] if counted[0].distance <= nearest.distance + ALIKE else nearest


@functools.partial(jax.jit, static_argnums=0)
def _moments(
    graphdef: nnx.GraphDef,
    arrays: nnx.State,
    mean: jax.Array,
    std: jax.Array,
    images: jax.Array,
    down: jax.Array,
    right: jax.Array,
) -> jax.Array:
    """Means of a convolution's outputs, and of their squares, over each image's pixels: [B, 2, ways, C]."""
    pixels, convolution = images.astype(jnp.float32) / 255, nnx.merge(graphdef, arrays)
    normal = (pixels - mean) / std
    ways = (normal, (shift(pixels, down, right) - mean) / std, shift(normal, down, right))
    outputs = jnp.stack([convolution(way) for way in ways], axis=1)
    return jnp.stack([jnp.mean(outputs, axis=(2, 3)), jnp.mean(jnp.square(outputs), axis=(2, 3))], axis=1)


def _divergence(mean: np.ndarray, var: np.ndarray, other_mean: np.ndarray, other_var: np.ndarray) -> np.ndarray:
    gap = (mean - other_mean) ** 2
    return ((var + gap) / other_var + (other_var + gap) / var - 2) / 4
