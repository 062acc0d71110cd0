"""The weights that a student is tested with, where they are not the ones that are trained: averages of them.

Schedule-Free (Defazio et al., 2024) takes gradients at y, between the average x and the base optimizer's z, and x is
what is tested. BatchNorm's running statistics are of y, so they are estimated anew at x. A recipe's moving average
(`Recipe.ema`) is tested with the statistics that are there, as EDC does.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax
import optax.contrib

from gift_jax.errors import GiftError
from gift_jax.models import Variables
from gift_jax.optim import AverageState
from gift_jax.runtime.compiling import cached_factory, jit
from gift_jax.training.batch import make_drawing
from gift_jax.training.program import Data, Program, State

NAMES = ("schedule_free_sgd", "schedule_free_adamw")
BATCHES = 50  # that the statistics are estimated from; with a momentum of 0.1 the start weighs 0.5 % after them

EvaluationWeights = Callable[[State, Data], tuple[Variables, Variables]]


def make_evaluation_weights(program: Program, *, streamed: bool = False) -> EvaluationWeights:
    """Build `(state, data) -> (params, batch_stats)` of the network that is tested; for most optimizers the state's.

    Raises: GiftError for Schedule-Free with stored soft labels or a streamed set, whose batches cannot be drawn anew.
    Reference: optax's `schedule_free_eval_params`; advice about BatchNorm in facebookresearch/schedule_free.
    """
    free, averaged = program.recipe.optimizer.name in NAMES, program.recipe.ema is not None
    if free and averaged:
        raise GiftError(f"ema does not go with optimizer {program.recipe.optimizer.name!r}, which has its own average")
    if averaged:
        return _moving_average
    if not free:
        return lambda state, data: (state.params, state.batch_stats)
    if program.stored or streamed:
        kind = "stored labels" if program.stored else "sets that are streamed to the device"
        raise GiftError(f"optimizer {program.recipe.optimizer.name!r} does not go with {kind}; choose another")
    return _make_average(program)


@cached_factory
def _make_average(program: Program) -> EvaluationWeights:
    draw, size = make_drawing(program), program.batch_size

    @jit
    def observe(params: Variables, batch_stats: Variables, data: Data, key: jax.Array) -> Variables:
        """The statistics after one more batch of augmented training images, as training would see it."""
        choice, *keys = jax.random.split(key, 4)
        images = draw(data, jax.random.permutation(choice, program.num_images)[:size], keys).images
        return program.model.apply(params, batch_stats, images, train=True, key=choice)[1]

    def evaluation_weights(state: State, data: Data) -> tuple[Variables, Variables]:
        params, batch_stats = average(state), state.batch_stats
        key = jax.random.fold_in(jax.random.key(0), state.step)
        for batch in range(BATCHES if batch_stats else 0):
            batch_stats = observe(params, batch_stats, data, jax.random.fold_in(key, batch))
        return params, batch_stats

    return evaluation_weights


def _moving_average(state: State, data: Data) -> tuple[Variables, Variables]:
    assert isinstance(state.opt_state, AverageState)
    return state.opt_state.average, state.batch_stats


def average(state: State) -> Variables:
    """Schedule-Free's x."""
    found = optax.tree_utils.tree_get(state.opt_state, "ScheduleFreeState")
    params: Any = optax.contrib.schedule_free_eval_params(found, state.params)
    return params
