"""A run whose losses change with its epochs: one compiled epoch a loss, and the epoch's number chooses."""

from collections.abc import Callable

import jax

from gift_jax.errors import GiftError
from gift_jax.recipes.recipe import Recipe
from gift_jax.training.epochs import Epoch
from gift_jax.training.program import Data, Program, State
from gift_jax.training.step import Metrics


def make_phased_epoch(program: Program, make: Callable[[Program], Epoch]) -> Epoch:
    """Build the epoch of a run out of the epochs, as make builds them, of its phases; without phases it is make's.

    Epochs of `ce` ask no teacher, and with stored soft labels they draw crops of their own, as HALD does: a hard label
    is right for every crop. The stored epochs go on behind them where they stopped.
    Raises: GiftError if epochs differ in their steps.
    """
    recipe = program.recipe
    if not recipe.phases:
        return make(program)

    def phase(one: Recipe) -> Program:
        hard = {"teacher": None, "stored": None} if one.loss == "ce" else {}
        found = program._replace(recipe=one, **hard)
        if (steps := found.steps_per_epoch) != program.steps_per_epoch:
            raise GiftError(
                f"epochs of hard labels have {steps} steps, those of the stored soft labels {program.steps_per_epoch}; "
                "train from labels that were stored for all images"
            )
        return found

    programs = {one: phase(one) for one in map(recipe.during, range(recipe.epochs))}
    epochs = {one: make(found) for one, found in programs.items()}

    def epoch(state: State, data: Data, key: jax.Array, number: int) -> tuple[State, Metrics]:
        one = recipe.during(number)
        stored = programs[one].stored
        return epochs[one](state, data, key, recipe.soft_epochs(number) if stored else number)

    return epoch
