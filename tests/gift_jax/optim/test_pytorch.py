"""Schedules and optimizers against live PyTorch where it is installed, and against their definitions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gift_jax.errors import GiftError
from gift_jax.optim import (
    Optimizer,
    Schedule,
    averaging,
    make_optimizer,
    make_schedule,
    restart_steps,
    with_rate,
)

CONSTANT = optax.constant_schedule(0.05)


def rates(schedule, learning_rate, epochs, steps_per_epoch):
    function = make_schedule(schedule, learning_rate, epochs, steps_per_epoch)
    return [float(function(step)) for step in range(epochs * steps_per_epoch)]


def cosine(epoch, epochs, floor=0.0):
    return floor + (1 - floor) * (1 + math.cos(math.pi * epoch / epochs)) / 2


@pytest.mark.parametrize(
    ("schedule", "epochs", "formula"),
    [
        (Schedule(), 100, lambda t: 0.2 ** ((t >= 66) + (t >= 83))),
        (Schedule("constant"), 3, lambda t: 1.0),
        (Schedule(milestones=((1, 2), (1, 2))), 2, lambda t: 0.04**t),
        (
            Schedule("cosine", final=0.1, warmup_epochs=4),
            20,
            lambda t: (t + 1) / 5 if t < 4 else cosine(t - 4, 16, 0.1),
        ),
        (Schedule("cosine", stretch=2), 30, lambda t: cosine(t, 60)),
        # `cos2` and, on ImageNet-1K, the line that EDC's code puts in the place of `cos`; both for twice the epochs.
        (
            Schedule("cosine_drop", stretch=2),
            30,
            lambda t: cosine(t, 60) if t <= 25 else cosine(25, 60) * (30 - t) / 30,
        ),
        (Schedule("linear", stretch=2), 30, lambda t: 1 - t / 60),
    ],
    ids=["official", "constant", "milestones on one epoch", "floor and warm-up", "RDED's", "EDC's", "EDC's line"],
)
def test_schedules_are_their_formulas(schedule, epochs, formula):
    """All steps of an epoch have the same rate."""
    found = np.reshape(rates(schedule, 1.0, epochs, 2), (epochs, 2))
    assert (found[:, 0] == found[:, 1]).all()
    np.testing.assert_allclose(found[:, 0], [formula(epoch) for epoch in range(epochs)], rtol=1e-5)


def test_warmup_from_a_share_equals_pytorchs():
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=5)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)
    schedule, expected = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[5]), []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    found = rates(Schedule("cosine", warmup_epochs=5, warmup_start=0.01), 0.2, 20, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("warmup", "reached"), [(0, True), (4, True), (5, False), (9, False)])
def test_a_warmup_as_long_as_the_run_never_reaches_the_rate(warmup, reached):
    schedule = Schedule("constant", warmup_epochs=warmup)
    assert (max(rates(schedule, 1.0, 5, 1)) == 1.0) == reached


def test_an_average_follows_the_parameters_and_changes_nothing():
    plain, averaged = (
        wrap(make_optimizer(Optimizer("sgd", 0.1), optax.constant_schedule(0.1)))
        for wrap in (lambda inner: inner, lambda inner: averaging(inner, 0.9))
    )
    params = others = expected = jnp.asarray([1.0, -2.0])
    states = [plain.init(params), averaged.init(params)]
    for _ in range(4):
        updates, states[0] = plain.update(params, states[0], params)
        params = optax.apply_updates(params, updates)
        updates, states[1] = averaged.update(others, states[1], others)
        others = optax.apply_updates(others, updates)
        expected = 0.9 * expected + 0.1 * params
    np.testing.assert_array_equal(others, params)
    np.testing.assert_allclose(states[1].average, expected, rtol=1e-6)


def assert_steps_equal(ours, theirs, steps, seed=0):
    """Steps on the same random gradients end alike. theirs: by step, what makes PyTorch's optimizer of the tensors."""
    import torch

    rng = np.random.default_rng(seed)
    params = {"matrix": rng.normal(size=(3, 4)).astype("f"), "vector": rng.normal(size=4).astype("f")}
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in params.items()}
    state = ours.init(jax.tree.map(jnp.asarray, params))
    with jax.numpy_dtype_promotion("standard"):
        update = jax.jit(ours.update)
        for step in range(steps):
            if step in theirs:
                optimizer = theirs[step](*tensors.values())
            gradients = {name: rng.normal(size=array.shape).astype("f") for name, array in params.items()}
            for name, tensor in tensors.items():
                tensor.grad = torch.tensor(gradients[name])
            optimizer.step()
            updates, state = update(gradients, state, params)
            params = optax.apply_updates(params, updates)
    for name, tensor in tensors.items():
        np.testing.assert_allclose(params[name], tensor.detach(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_restart_equals_a_new_optimizer_in_pytorch(name):
    """Two epochs, a new optimizer at a tenth of the rate, two more, as DATM's evaluation does."""
    torch = pytest.importorskip("torch")
    schedule, steps_per_epoch, epochs = Schedule(milestones=((1, 2),), gamma=0.1, restart=True), 3, 4
    steps = restart_steps(schedule, epochs, steps_per_epoch)
    assert steps == (6,)
    ours = make_optimizer(Optimizer(name, 0.05, 5e-4), make_schedule(schedule, 0.05, epochs, steps_per_epoch), steps)
    kind, options = {"sgd": (torch.optim.SGD, {"momentum": 0.9}), "adam": (torch.optim.Adam, {})}[name]
    made = {
        step: lambda *tensors, rate=rate: kind(tensors, lr=rate, weight_decay=5e-4, **options)
        for step, rate in ((0, 0.05), (6, 0.005))
    }
    assert_steps_equal(ours, made, epochs * steps_per_epoch, seed=1)


TORCH_CASES = [
    Optimizer("sgd", 0.05, 1e-2, momentum=0.0),
    Optimizer("sgd", 0.05, 1e-2, momentum=0.9),
    Optimizer("sgd", 0.05, 1e-2, momentum=0.9, nesterov=True),
    Optimizer("adam", 0.05, 1e-2),
    Optimizer("adamw", 0.05, 1e-2, betas=(0.8, 0.95), epsilon=1e-6),
    Optimizer("adamw", 0.05, 1e-2, decay_vectors=False),
]


@pytest.mark.parametrize("optimizer", TORCH_CASES, ids=str)
def test_twenty_steps_equal_pytorch(optimizer):
    torch = pytest.importorskip("torch")

    def theirs(matrix, vector):
        spared = 0.0 if not optimizer.decay_vectors else optimizer.weight_decay
        groups = [{"params": [matrix]}, {"params": [vector], "weight_decay": spared}]
        common = {"lr": optimizer.learning_rate, "weight_decay": optimizer.weight_decay}
        if optimizer.name == "sgd":
            return torch.optim.SGD(groups, momentum=optimizer.momentum, nesterov=optimizer.nesterov, **common)
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer.name]
        return kind(groups, betas=optimizer.betas, eps=optimizer.epsilon, **common)

    assert_steps_equal(make_optimizer(optimizer, CONSTANT), {0: theirs}, 20)


def test_optax_weight_decay_is_coupled_where_the_optimizer_has_none():
    params, zeros = {"w": jnp.ones(3)}, {"w": jnp.zeros(3)}
    with jax.numpy_dtype_promotion("standard"):
        optimizer = make_optimizer(Optimizer("sign_sgd", weight_decay=0.1), CONSTANT)
        updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    np.testing.assert_allclose(updates["w"], -0.05, rtol=1e-6)  # the sign of the decay term alone


@pytest.mark.parametrize(
    ("optimizer", "schedule", "message"),
    [
        (Optimizer("adamm", 0.1), Schedule(), "'adamm' is unknown"),
        (Optimizer("rmsprop", options=(("decays", 0.5),)), Schedule(), "'decays'"),
        (Optimizer("sgd", options=(("momentum", 0.5),)), Schedule(), "takes no options"),
        (Optimizer(), Schedule("step"), "'step' is unknown"),
    ],
)
def test_bad_optimizers_and_schedules_are_named(optimizer, schedule, message):
    with pytest.raises(GiftError, match=message):
        make_optimizer(optimizer, make_schedule(schedule, 0.1, 10, 1))


def test_muon_sees_a_kernel_as_one_matrix_of_inputs_by_outputs():
    """Its update is close to orthogonal: the singular values of the flattened kernel's are within Muon's 0.7 to 1.2."""
    rng = np.random.default_rng(0)
    params = {"kernel": jnp.asarray(rng.normal(size=(3, 3, 2, 8)), jnp.float32), "bias": jnp.ones(8)}
    optimizer = make_optimizer(Optimizer("muon", weight_decay=0.0), optax.constant_schedule(1.0))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        updates, _ = optimizer.update(params, optimizer.init(params), params)
    values = np.linalg.svd(np.asarray(updates["kernel"]).reshape(18, 8), compute_uv=False)
    assert values.max() / values.min() < 1.8
    assert np.linalg.cond(np.asarray(params["kernel"]).reshape(18, 8)) > 1.8
    assert (np.asarray(updates["bias"]) < 0).all()  # Adam's
    assert np.ptp(np.asarray(updates["bias"])) == 0


def test_the_rate_in_the_state_is_the_rate_of_the_schedule():
    make = lambda rate: make_optimizer(Optimizer("adamw"), lambda step: rate * 0.5**step)  # noqa: E731
    ours, theirs = with_rate(make, 0.01), make_optimizer(Optimizer("adamw"), lambda step: 0.01 * 0.5**step)
    params = {"w": jnp.arange(3.0)}
    states = [ours.init(params), theirs.init(params)]
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(3):
            found, states[0] = ours.update(params, states[0], params)
            expected, states[1] = theirs.update(params, states[1], params)
            np.testing.assert_allclose(found["w"], expected["w"], rtol=1e-6)
