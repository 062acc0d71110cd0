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


def make(optimizer):
    return make_optimizer(optimizer, make_schedule(Schedule("constant"), optimizer.learning_rate, 2, 2))


def steps_of(optimizer, loss=loss):
    """`params -> state` and `(params, state) -> (params, state)`."""
    transformation = make(optimizer)

    def init(params):
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return transformation.init(params)

    def step(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        asked = {"value": value, "grad": gradient, "value_fn": loss, "obj_fn": loss}
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            extra = asked if optimizer.name in LOSS_READERS else {}
            updates, state = transformation.update(gradient, state, params, **extra)
        return optax.apply_updates(params, updates), state

    return init, step


def after_steps(optimizer, params, count=1, **options):
    init, step = steps_of(optimizer, **options)
    state = init(params)
    for _ in range(count):
        params, state = step(params, state)
    return params


def test_each_that_optax_has_is_taken_or_refused():
    assert named_in_optax() == RATES.keys() | REFUSED.keys()
    assert not RATES.keys() & REFUSED.keys()
    assert OPTIMIZERS.keys() | LOSS_READERS <= RATES.keys()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", RATES)
def test_each_is_built_and_steps_within_one_shape(name):
    """Two steps, traced; the state keeps its shapes and types, as a state that is donated and saved must."""
    init, step = steps_of(Optimizer(name))
    state = jax.eval_shape(init, PARAMS)
    kind = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)  # noqa: E731
    assert kind(jax.eval_shape(step, PARAMS, state)) == kind((PARAMS, state))


DESCENDING = ("sgd", "polyak_sgd", "momo", "sam", "rprop", "sm3")
DESCENDING += ("rmsprop", "adagrad", "lion", "lamb", "adafactor", "muon", "yogi", "lars")


@pytest.mark.parametrize("name", DESCENDING)
def test_a_step_goes_downhill(name):
    assert loss(after_steps(Optimizer(name, 1e-2, 1e-2), PARAMS, 3)) < loss(PARAMS)


def test_weight_decay_is_part_of_the_loss_that_is_read():
    """Polyak's step by hand: loss over squared norm of the gradient, both with the penalty."""
    decay, params = 0.1, {"w": jnp.array([2.0, 3.0])}
    changed = after_steps(Optimizer("polyak_sgd", 1.0, decay), params)
    w = np.array([2.0, 3.0])
    value, gradient = np.sum((w - 1) ** 2) + decay / 2 * np.sum(w**2), 2 * (w - 1) + decay * w
    np.testing.assert_allclose(changed["w"], w - min(1, value / np.sum(gradient**2)) * gradient, rtol=1e-6)


def test_sharpness_aware_minimisation_by_hand():
    rho, rate, w = 0.5, 0.1, np.array([2.0, 3.0])
    optimizer = Optimizer("sam", rate, 0.0, momentum=0.0, options=(("rho", rho),))
    changed = after_steps(optimizer, {"w": jnp.asarray(w, jnp.float32)})
    gradient = 2 * (w - 1)
    worst = w + rho * gradient / np.linalg.norm(gradient)
    np.testing.assert_allclose(changed["w"], w - rate * 2 * (worst - 1), rtol=1e-6)


def test_a_fresh_state_shares_no_array_and_its_keys_are_the_seeds():
    key = jax.random.key(5)
    state = copy_and_rekey_state(make(Optimizer("prodigy")).init(PARAMS), key)
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((state, PARAMS))]
    assert len(set(pointers)) == len(pointers)
    init, step = steps_of(Optimizer("noisy_sgd"))
    first, second = (step(PARAMS, copy_and_rekey_state(init(PARAMS), each))[0] for each in jax.random.split(key))
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", RATES)
def test_each_spares_vectors_or_refuses_to(name):
    """With no decay of vectors, a vector moves as with no decay at all."""
    if name in DECAY_ALL:
        with pytest.raises(GiftError, match=f"'{name}' decays all arrays"):
            make(Optimizer(name, weight_decay=0.5, decay_vectors=False))
    decay = 0.0 if name in DECAY_ALL else 0.5
    vector, loss = {"vector": jnp.linspace(0.5, 1.5, 5)}, lambda params: 1e-3 * jnp.sum(params["vector"])
    spared, none = Optimizer(name, weight_decay=decay, decay_vectors=False), Optimizer(name, weight_decay=0.0)
    moved = [after_steps(each, vector, loss=loss)["vector"] for each in (spared, none)]
    np.testing.assert_array_equal(*moved)


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
    found = [after_steps(each, PARAMS, 5)["matrix"] for each in (changed, usual)]
    assert not np.array_equal(*found) or (name, setting) == ("mechanize", "betas")  # whose first steps are tiny


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
