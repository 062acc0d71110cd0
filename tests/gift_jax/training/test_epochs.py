"""One epoch: its batches, what its drivers share, and what they move."""

import collections
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from setups import INFO, distilled_set, random_teacher

from gift_jax.models import get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task
from gift_jax.training import epochs
from gift_jax.training.batch import make_prepare
from gift_jax.training.epochs import make_batches, make_epoch
from gift_jax.training.program import init_state, make_data
from gift_jax.training.step import make_differentiate, make_update

STUDENT = get_model(INFO.spec)
RECIPE = Recipe(epochs=3, batch_size=8, optimizer=Optimizer("sgd", 0.05))
# Every branch that a recipe opens in the step.
EVERYTHING = Recipe(
    loss="kl",
    loss_options=(("temperature", 4.0),),
    epochs=6,
    batch_size=8,
    factor=2,
    shuffle=2,
    smallest_crop=0.5,
    mix="cutmix",
    precision="bfloat16",
    max_steps=2,
)


def make(recipe=RECIPE, **changes):
    return Task(dataclasses.replace(recipe, **changes), STUDENT, distilled_set(), random_teacher()).program


@pytest.mark.parametrize(("max_steps", "sizes"), [(1, [8]), (2, [8, 8]), (None, [8, 8, 6]), (9, [8, 8, 6])])
def test_an_epoch_has_every_image_once_unless_it_is_cut_short(max_steps, sizes, key):
    program = make(max_steps=max_steps)
    full, rest = make_batches(*program.batching)(key, 4)
    assert [len(batch) for batch in [*full, *([rest] if len(rest) else [])]] == sizes
    assert program.steps_per_epoch == len(sizes)
    assert len({*np.asarray(full).ravel(), *np.asarray(rest)}) == sum(sizes)
    assert not np.array_equal(full, make_batches(*program.batching)(key, 5)[0])


def test_nothing_is_transferred_inside_a_scanned_epoch(key):
    program = make()
    epoch, data = make_epoch(program, driver="scan"), make_data(distilled_set(), random_teacher())
    state, _ = epoch(init_state(program, key, RECIPE.optimizer.learning_rate), data, key, 0)
    number = jnp.asarray(1)
    with jax.transfer_guard("disallow"):
        state, metrics = epoch(state, data, key, number)
    assert metrics.loss.shape == (3,)


class Watched(Recipe):
    """A recipe that notes which of its settings are read."""

    read: ClassVar[set[str]] = set()

    def __getattribute__(self, name):
        if name in Recipe.__dataclass_fields__:
            Watched.read.add(name)
        return super().__getattribute__(name)


def settings_read(function):
    """What a function of a program reads of its recipe, by tracing it."""
    Watched.read = set()
    function()
    return Watched.read


@pytest.mark.parametrize("recipe", [RECIPE, EVERYTHING], ids=["plain", "everything"])
def test_parts_of_the_step_read_only_what_they_are_shared_by(recipe, key):
    """Were another setting read, runs that differ in it would share a compilation that is wrong for one of them."""
    data = make_data(distilled_set(), random_teacher())
    plain, state = make(recipe), init_state(make(recipe), key, RECIPE.optimizer.learning_rate)
    watched = plain._replace(recipe=Watched(**vars(recipe)))
    of_batch = (data, jnp.arange(8), key, state.step)
    batch, dropout_key = jax.eval_shape(make_prepare(plain), *of_batch)

    prepared = settings_read(lambda: jax.eval_shape(make_prepare(watched), *of_batch))
    of_student = (state.params, state.batch_stats, data.teacher_params, batch, dropout_key)
    differentiated = settings_read(lambda: jax.eval_shape(make_differentiate(watched), *of_student))
    of_update = (state.params, state.opt_state, state.params, state.step)
    updated = settings_read(lambda: jax.eval_shape(make_update(watched), *of_update))
    assert {"augment", "factor"} <= prepared <= set(epochs.PREPARED)
    assert {"loss", "loss_options"} <= differentiated <= set(epochs.DIFFERENTIATED)
    assert {"optimizer", "schedule", "epochs"} <= updated <= set(epochs.UPDATED)


def test_programs_that_differ_in_the_loss_share_everything_else(monkeypatch):
    jitted = collections.Counter()
    monkeypatch.setattr(epochs, "jit", lambda part, **options: jitted.update([part.__name__]))
    for cached in (epochs.jit_part, epochs._make_jitted_step, make_epoch):
        cached.cache_clear()
    for loss in ("gift", "cosine"):
        for name in ("sgd", "adam"):
            make_epoch(make(loss=loss, optimizer=Optimizer(name, 1.0)), driver="loop")
    assert jitted == {"prepare": 1, "differentiate": 2, "update": 2}
    student = get_model(dataclasses.replace(INFO.spec, name="conv1"))
    make_epoch(Task(RECIPE, student, distilled_set(), random_teacher()).program, driver="loop")
    assert jitted["prepare"] == 1
    for cached in (epochs.jit_part, epochs._make_jitted_step, make_epoch):  # nothing was compiled here
        cached.cache_clear()
