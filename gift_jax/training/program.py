"""What a run is made of: the program that is compiled, the data that it reads, and the state that it changes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gift_jax import optim
from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import DistilledSet, PixelSpace
from gift_jax.data.stored_info import StoredInfo
from gift_jax.models import Model, Network, Variables
from gift_jax.recipes.recipe import Recipe
from gift_jax.teachers.teacher import Teacher


class Program(NamedTuple):
    """Everything that is compiled into the step; hashable, so that equal programs share one compilation.

    The learning rate is in the optimizer's state, not here: the recipe's stands at 1.
    """

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

    def optimizer(self, learning_rate: float) -> optax.GradientTransformationExtraArgs:
        """The optax transformation, its schedule in steps; an update takes the learning rate from the state."""
        recipe, steps = self.recipe, self.steps_per_epoch
        restarts = optim.restart_steps(recipe.schedule, recipe.epochs, steps)

        def at_rate(rate: Any) -> optax.GradientTransformation:
            schedule = optim.make_schedule(recipe.schedule, 1.0, recipe.epochs, steps)
            return optim.make_optimizer(recipe.optimizer, lambda step: rate * schedule(step), restarts)

        rated = optim.with_rate(at_rate, learning_rate)
        return rated if recipe.ema is None else optim.averaging(rated, recipe.ema)

    @property
    def reads_loss(self) -> bool:
        """Whether the optimizer asks for the loss, and so for all that it is computed from."""
        return self.recipe.optimizer.name in optim.LOSS_READERS


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


def make_data(distilled: DistilledSet, teacher: Teacher | None) -> Data:
    """Put a distilled set and its teacher's weights on the device."""
    soft_labels = None if distilled.soft_labels is None else jnp.asarray(distilled.soft_labels)
    teacher_params = jax.tree.map(jnp.asarray, teacher.params) if teacher else None
    return Data(jnp.asarray(distilled.images), jnp.asarray(distilled.labels), soft_labels, teacher_params)


def init_state(program: Program, key: jax.Array, learning_rate: float) -> State:
    """Draw a student from PyTorch's initial distribution and an optimizer state for it."""
    params, batch_stats = program.model.init(key)
    opt_state = optim.copy_and_rekey_state(program.optimizer(learning_rate).init(params), key)
    return State(params, batch_stats, opt_state, jnp.zeros((), jnp.int32))
