"""Temperatures that change from epoch to epoch."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gift_jax.errors import GiftError
from gift_jax.losses import kl
from gift_jax.recipes.recipe import Recipe
from gift_jax.training.cooling import split_options


def cooled(*options):
    return split_options(Recipe(loss="kl", loss_options=(("temperature", 20.0), *options)))


def test_steps_are_lpqlds():
    plain, cooling = cooled(("cooling", "step"), ("cooling_factor", 0.7), ("cooling_every", 30), ("cooling_final", 2.0))
    assert plain == {}
    found = jax.vmap(cooling.at)(jnp.arange(300))
    expected = [max(20 * 0.7 ** (epoch // 30), 2) for epoch in range(1, 301)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_cosines_are_lpqlds():
    plain, cooling = cooled(("cooling", "cosine"), ("cooling_epochs", 50), ("cooling_final", 1.0), ("t_squared", True))
    assert plain == {"t_squared": True}
    found = jax.vmap(cooling.at)(jnp.arange(50))
    expected = [1 + 0.5 * (20 - 1) * (1 + math.cos(math.pi * epoch / 50)) for epoch in range(1, 51)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_without_it_options_stay():
    assert cooled(("t_squared", True)) == ({"temperature": 20.0, "t_squared": True}, None)


@pytest.mark.parametrize(
    "options", [(("cooling", "linear"),), (("cooling", "step"), ("cooling_rate", 2)), (("cooling_every", 3),)]
)
def test_unknown_changes_are_refused(options):
    with pytest.raises(GiftError, match="a temperature that changes needs temperature, cooling"):
        cooled(*options)


def test_what_cannot_change_is_refused():
    with pytest.raises(GiftError, match="cooling_every is 0, expected a number above 0"):
        cooled(("cooling", "step"), ("cooling_every", 0))
    with pytest.raises(GiftError, match="loss 'mse' has no temperature to change"):
        split_options(Recipe(loss="mse", loss_options=(("cooling", "step"),)))


def test_the_student_may_have_a_temperature_of_its_own():
    student, teacher = np.random.default_rng(1).normal(size=(2, 3, 5)).astype("f")
    none = jnp.zeros(3, jnp.int32)
    found = kl(jnp.asarray(student), jnp.asarray(teacher), none, temperature=4.0, student_temperature=1.0)
    expected = kl(jnp.asarray(student * 4), jnp.asarray(teacher), none, temperature=4.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
