"""A run whose losses change with its epochs: one compiled epoch a loss, and the epoch's number chooses."""

import dataclasses
from collections.abc import Callable

import jax

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.fkd import StoredLabels
from gift_jax.data.record_set import RecordSet
from gift_jax.errors import GiftError
from gift_jax.models import Model
from gift_jax.recipes.recipe import Recipe
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.epochs import Epoch
from gift_jax.training.step import Data, Metrics, Program, State, make_program


def make_phased_epoch(
    recipe: Recipe,
    student: Model,
    distilled: DistilledSet | RecordSet,
    teacher: Teacher | None,
    soft_labels: StoredLabels | None,
    make: Callable[[Program], Epoch],
) -> Epoch:
    """Build the epoch of a run out of the epochs, as make builds them, of its phases; of a recipe without any, make's.

    Epochs of `ce` ask no teacher, and with stored soft labels they draw crops of their own, as HALD does: a hard label
    is right for every crop. The stored epochs go on behind them where they stopped.
    Raises: GiftError if the parts do not fit each other, or epochs differ in their steps.
    """
    parts = (student, distilled, teacher, soft_labels)
    if not recipe.phases:
        return make(make_program(recipe, *parts).compiled())
    whole = make_program(recipe, *parts)
    programs: dict[Recipe, Program] = {}
    for one in dict.fromkeys(map(recipe.during, range(recipe.epochs))):
        if one.loss == "ce":
            drawn = dataclasses.replace(one, batch_size=whole.batch_size)
            programs[one] = make_program(drawn, student, distilled, None)._replace(normalisation=whole.normalisation)
        else:
            programs[one] = make_program(one, *parts)
        if (steps := programs[one].steps_per_epoch) != whole.steps_per_epoch:
            raise GiftError(
                f"epochs of hard labels have {steps} steps, those of the stored soft labels {whole.steps_per_epoch}; "
                "train from labels that were stored for all images"
            )
    epochs = {one: make(program.compiled()) for one, program in programs.items()}

    def epoch(state: State, data: Data, key: jax.Array, number: int) -> tuple[State, Metrics]:
        one = recipe.during(number)
        stored = programs[one].stored
        return epochs[one](state, data, key, recipe.soft_epochs(number) if stored else number)

    return epoch
