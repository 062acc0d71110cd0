"""Schedule-Free is tested at its average, whose BatchNorm statistics are its own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from setups import distilled_set, random_teacher, train_digits

from gift_jax.errors import GiftError
from gift_jax.models import get_model
from gift_jax.optim import Optimizer, Schedule, make_optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task
from gift_jax.training.program import init_state, make_data
from gift_jax.training.schedule_free import average, make_evaluation_weights


def program_of(name, teacher, schedule=None):
    recipe = Recipe(epochs=3, batch_size=11, optimizer=Optimizer(name, 0.05), schedule=schedule or Schedule("constant"))
    return Task(recipe, get_model(teacher.info.spec), distilled_set(), teacher).program


def test_others_are_tested_as_they_are(key):
    teacher = random_teacher()
    program = program_of("adamw", teacher)
    state, data = init_state(program, key, 0.05), make_data(distilled_set(), teacher)
    assert make_evaluation_weights(program)(state, data) == (state.params, state.batch_stats)


def test_a_recipes_moving_average_is_tested_with_the_statistics_that_are_there(key):
    teacher, program = random_teacher(), program_of("adamw", random_teacher())
    program = program._replace(recipe=dataclasses.replace(program.recipe, ema=0.9))
    state = init_state(program, key, 0.05)
    moved = state._replace(params=jax.tree.map(lambda leaf: leaf + 1, state.params))
    params, batch_stats = make_evaluation_weights(program)(moved, make_data(distilled_set(), teacher))
    jax.tree.map(np.testing.assert_array_equal, params, state.params)
    assert batch_stats is moved.batch_stats
    free = program._replace(recipe=dataclasses.replace(program.recipe, optimizer=Optimizer("schedule_free_sgd", 0.1)))
    with pytest.raises(GiftError, match="ema does not go with optimizer 'schedule_free_sgd'"):
        make_evaluation_weights(free)


def test_the_average_of_gradient_descent_by_hand():
    """z takes the steps, x is the mean of all z, y = 0.9 x + 0.1 z is where gradients are taken."""
    rate, state_of = 0.1, make_optimizer(Optimizer("schedule_free_sgd", weight_decay=0.0), lambda step: 0.1)
    y = x = z = np.array([1.0, -2.0])
    params = jnp.asarray(y, jnp.float32)
    state = state_of.init(params)
    with jax.numpy_dtype_promotion("standard"):
        for step in range(5):
            updates, state = state_of.update(params, state, params)  # the gradient of |p|^2 / 2
            params = optax.apply_updates(params, updates)
            z = z - rate * y
            x = x + (z - x) / (step + 1)
            y = 0.9 * x + 0.1 * z
    np.testing.assert_allclose(params, y, rtol=1e-5)
    state = type("State", (), {"opt_state": (state,), "params": params})
    np.testing.assert_allclose(average(state), x, rtol=1e-5)


def test_statistics_are_of_the_average_not_of_the_trained_weights():
    teacher = random_teacher()
    program = program_of("schedule_free_adamw", teacher)
    [run] = train_digits(program.recipe)
    data = make_data(distilled_set(), teacher)
    params, batch_stats = make_evaluation_weights(program)(run.state, data)
    differs = jax.tree.map(lambda a, b: bool(np.any(np.asarray(a) != np.asarray(b))), params, run.state.params)
    assert any(jax.tree.leaves(differs))
    # Statistics of far too large weights, were they the trained ones: the test's are estimated anew.
    wrong = run.state._replace(batch_stats=jax.tree.map(lambda leaf: 1 + leaf * 100, run.state.batch_stats))
    again = make_evaluation_weights(program)(wrong, data)[1]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0.5, atol=0.6), again, batch_stats)
    largest = [float(np.abs(np.asarray(leaf)).max()) for leaf in jax.tree.leaves(wrong.batch_stats)]
    assert max(largest) > 20


def test_stored_labels_are_refused():
    program = program_of("schedule_free_sgd", random_teacher())._replace(stored=True)
    with pytest.raises(GiftError, match="does not go with stored labels"):
        make_evaluation_weights(program)
