"""Every optimizer that optax has: it has a place here, and takes steps."""

import dataclasses
import functools
import inspect
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from gift_jax.errors import GiftError
from gift_jax.optim import LOSS_READERS, OPTIMIZERS, RATES, REFUSED, Optimizer, Schedule, make_optimizer, make_schedule
from gift_jax.optim.settings import READ
from gift_jax.optim.states import copy_and_rekey_state

PARAMS = {"kernel": jnp.full((3, 3, 2, 4), 0.5), "matrix": jnp.full((4, 5), -0.5), "vector": jnp.full((5,), 0.5)}


def functions(module):
    """Public functions by name, those that are made by `functools.partial` too."""
    found = {name: getattr(module, name) for name in dir(module) if not name.startswith(("_", "scale_by"))}
    return {name: value for name, value in found.items() if isinstance(value, types.FunctionType | functools.partial)}


def named_in_optax():
    """Functions of optax with a learning rate, and all that its contrib has but one that evaluates."""
    rates = {"learning_rate", "max_learning_rate"}
    aliases = {name for name, each in functions(optax).items() if rates & set(inspect.signature(each).parameters)}
    return aliases | set(functions(optax.contrib)) - {"schedule_free_eval_params"}


def loss(params):
    return sum(jnp.sum((array - 1) ** 2) for array in jax.tree.leaves(params))


def step_of(transformation, *, reads_loss):
    def step(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        asked = {"value": value, "grad": gradient, "value_fn": loss, "obj_fn": loss} if reads_loss else {}
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            updates, state = transformation.update(gradient, state, params, **asked)
        return optax.apply_updates(params, updates), state

    return step


def make(optimizer, restarts=()):
    schedule = make_schedule(Schedule("constant"), optimizer.learning_rate, 2, 2)
    return make_optimizer(optimizer, schedule, restarts)


def test_each_that_optax_has_is_taken_or_refused():
    assert named_in_optax() == RATES.keys() | REFUSED.keys()
    assert not RATES.keys() & REFUSED.keys()
    assert OPTIMIZERS.keys() | LOSS_READERS <= RATES.keys()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", RATES)
def test_each_is_built_and_steps_within_one_shape(name):
    """Two steps, traced; the state keeps its shapes and types, as a state that is donated and saved must."""
    optimizer = Optimizer(name)
    transformation = make(optimizer)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        state = jax.eval_shape(transformation.init, PARAMS)
    step = step_of(transformation, reads_loss=name in LOSS_READERS)
    kind = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)  # noqa: E731
    assert kind(jax.eval_shape(step, PARAMS, state)) == kind((PARAMS, state))


@pytest.mark.parametrize("name", ["sgd", "polyak_sgd", "momo", "sam", "rprop", "sm3"])
def test_a_step_goes_downhill(name):
    transformation = make(Optimizer(name, 1e-2, 1e-2))
    params, state = PARAMS, transformation.init(PARAMS)
    step = jax.jit(step_of(transformation, reads_loss=name in LOSS_READERS))
    for _ in range(3):
        params, state = step(params, state)
    assert loss(params) < loss(PARAMS)


def test_weight_decay_is_part_of_the_loss_that_is_read():
    """Polyak's step by hand: loss over squared norm of the gradient, both with the penalty."""
    decay, params = 0.1, {"w": jnp.array([2.0, 3.0])}
    transformation = make(Optimizer("polyak_sgd", 1.0, decay))
    changed, _ = step_of(transformation, reads_loss=True)(params, transformation.init(params))
    w = np.array([2.0, 3.0])
    value, gradient = np.sum((w - 1) ** 2) + decay / 2 * np.sum(w**2), 2 * (w - 1) + decay * w
    np.testing.assert_allclose(changed["w"], w - min(1, value / np.sum(gradient**2)) * gradient, rtol=1e-6)


def test_sharpness_aware_minimisation_by_hand():
    rho, rate, w = 0.5, 0.1, np.array([2.0, 3.0])
    optimizer = Optimizer("sam", rate, 0.0, momentum=0.0, options=(("rho", rho),))
    transformation, params = make(optimizer), {"w": jnp.asarray(w, jnp.float32)}
    changed, _ = step_of(transformation, reads_loss=True)(params, transformation.init(params))
    gradient = 2 * (w - 1)
    worst = w + rho * gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(changed["w"], w - rate * 2 * (worst - 1), rtol=1e-6)


def test_a_fresh_state_shares_no_array_and_its_keys_are_the_seeds():
    key = jax.random.key(5)
    state = copy_and_rekey_state(make(Optimizer("prodigy")).init(PARAMS), key)
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((state, PARAMS))]
    assert len(set(pointers)) == len(pointers)
    drawn = [make(Optimizer("noisy_sgd")).init(PARAMS) for _ in range(2)]
    first, second = (
        step_of(make(Optimizer("noisy_sgd")), reads_loss=False)(PARAMS, copy_and_rekey_state(s, k))[0]
        for s, k in zip(drawn, jax.random.split(key), strict=True)
    )
    assert not np.array_equal(first["matrix"], second["matrix"])


def test_without_a_rate_it_is_the_default():
    assert Optimizer().learning_rate == 1e-3
    assert Optimizer("prodigy").learning_rate == 1.0
    assert Optimizer("prodigy", 0.5).learning_rate == 0.5
    with pytest.raises(GiftError, match="'adamm' is unknown; choose one of sgd, adam, "):
        Optimizer("adamm")


DECAY_ALL = {"dadapt_adamw", "madgrad", "momo", "momo_adam", "novograd", "prodigy"}
DECAY_ALL |= {"schedule_free_adamw", "schedule_free_sgd"}
SETTINGS = {"momentum": 0.9, "nesterov": True, "betas": (0.9, 0.999), "epsilon": 1e-8}


def first_update(optimizer, *, gradient):
    """The update of a vector alone, by a gradient."""
    params = {"vector": jnp.linspace(0.5, 1.5, 5)}
    transformation = make(optimizer)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        value = lambda params: gradient * jnp.sum(params["vector"])  # noqa: E731
        asked = {"value": jnp.asarray(1.0), "grad": jax.grad(value)(params), "value_fn": value, "obj_fn": value}
        state = transformation.init(params)
        updates, _ = optax.with_extra_args_support(transformation).update(
            jax.grad(value)(params), state, params, **(asked if optimizer.name in LOSS_READERS else {})
        )
    return np.asarray(updates["vector"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", RATES)
def test_each_spares_vectors_or_refuses_to(name):
    """With no decay of vectors, a vector moves as with no decay at all."""
    if name in DECAY_ALL:
        with pytest.raises(GiftError, match=f"'{name}' decays all arrays"):
            make(Optimizer(name, weight_decay=0.5, decay_vectors=False))
    decay = 0.0 if name in DECAY_ALL else 0.5
    spared, none = Optimizer(name, weight_decay=decay, decay_vectors=False), Optimizer(name, weight_decay=0.0)
    np.testing.assert_array_equal(first_update(spared, gradient=1e-3), first_update(none, gradient=1e-3))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", RATES)
def test_each_reads_a_setting_or_refuses_it(name, setting):
    """Also the default's value is refused, where it would change nothing."""
    if setting not in READ.get(name, ()):
        with pytest.raises(GiftError, match=f"'{name}' does not read {setting}"):
            Optimizer(name, **{setting: SETTINGS[setting]})
        return
    other = {"momentum": 0.1, "nesterov": True, "betas": (0.1, 0.2), "epsilon": 10.0}[setting]
    changed, usual = Optimizer(name, **{setting: other}), Optimizer(name)
    assert (
        dataclasses.replace(dataclasses.replace(usual, learning_rate=0.5), learning_rate=usual.learning_rate) == usual
    )
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        found = [after_steps(each) for each in (changed, usual)]
    assert not np.array_equal(*found) or (name, setting) == ("mechanize", "betas")  # whose first steps are tiny


def after_steps(optimizer):
    transformation = make(optimizer)
    params, state = PARAMS, transformation.init(PARAMS)
    for _ in range(5):
        params, state = step_of(transformation, reads_loss=optimizer.name in LOSS_READERS)(params, state)
    return np.asarray(params["matrix"])


@pytest.mark.parametrize(
    "wrong", [{"betas": (0.9, 1.0)}, {"momentum": np.nan}, {"epsilon": np.inf}, {"learning_rate": -1}]
)
def test_values_that_are_none_are_refused(wrong):
    with pytest.raises(GiftError, match=f"{next(iter(wrong))} must be"):
        Optimizer("sgd" if "momentum" in wrong else "adam", **wrong)


def test_another_optimizer_keeps_what_it_reads_too():
    recipes = Optimizer("sgd", 0.1, 5e-4, momentum=0.875, nesterov=True, decay_vectors=False)
    assert recipes.renamed("sam") == dataclasses.replace(recipes, name="sam")
    assert recipes.renamed("adam", 0.5) == Optimizer("adam", 0.5, 5e-4, decay_vectors=False)
