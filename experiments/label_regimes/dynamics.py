"""Training dynamics: a network trained on real images, looked at after every epoch, image by image."""

import functools
from collections.abc import Callable

import jax
import numpy as np

from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import DistilledSet, PixelSpace
from gift_jax.data.pixels import to_input
from gift_jax.evaluate import in_batches
from gift_jax.models import Model, Variables
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.compiling import cached_factory, jit
from gift_jax.studies.cells import OnEpoch
from gift_jax.task import Task
from gift_jax.training.epochs import make_epoch
from gift_jax.training.program import init_state
from gift_jax.training.train import check_finite

from .pruning import Dynamics, observe

BATCH_SIZE, SEED = 500, 0  # of the looks, and of the training
# Hard labels, SGD with momentum and a cosine, as CCS's authors train the network that they score images by.
RECIPE = Recipe(
    loss="ce",
    optimizer=Optimizer("sgd", 0.1, 5e-4, momentum=0.9),
    schedule=Schedule("cosine"),
    epochs=20,
    batch_size=128,
    augment="crop",
)


def record_dynamics(recipe: Recipe, network: Model, images: DistilledSet, on_epoch: OnEpoch) -> Dynamics:
    """Train a network on all images and record, after each epoch, how it sees each of them, not augmented.

    Args: recipe, such as `RECIPE`, with hard labels; on_epoch is told of each epoch and its mean loss.
    Raises: GiftError if the parts do not fit each other, Diverged if a loss is not finite.
    """
    task = Task(recipe, network, images)
    program, data, epoch = task.program, task.data(), make_epoch(task.program)
    predict = _make_predict(network, images.pixel_space, program.normalisation)
    init_key, run_key = jax.random.split(jax.random.key(SEED))
    state, looks = init_state(program, init_key, task.learning_rate), []
    for number in range(recipe.epochs):
        state, metrics = epoch(state, data, run_key, number)
        metrics = jax.tree.map(lambda leaf: np.asarray(leaf)[None], metrics)
        check_finite(metrics, (SEED,), number * program.steps_per_epoch)
        on_epoch(1, float(metrics.loss.mean()))
        look = functools.partial(predict, *task.evaluation_weights(state))
        looks.append(observe(in_batches(look, min(BATCH_SIZE, len(images.labels)), images.images), images.labels))
    return Dynamics(*(np.concatenate(arrays) for arrays in zip(*looks, strict=True)))


@cached_factory
def _make_predict(network: Model, pixel_space: PixelSpace, normalisation: Normalisation) -> Callable[..., jax.Array]:
    def predict(params: Variables, batch_stats: Variables, images: jax.Array) -> jax.Array:
        return network.apply(params, batch_stats, to_input(images, pixel_space, normalisation))[0]

    return jit(predict)
