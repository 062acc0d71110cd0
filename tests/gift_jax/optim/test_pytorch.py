"""Schedules and optimizers against live PyTorch where it is installed, and against their definitions."""

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
    is_reached,
    make_optimizer,
    make_schedule,
    restart_steps,
    with_rate,
)

CONSTANT = optax.constant_schedule(0.05)


def rates(schedule, learning_rate, epochs, steps_per_epoch):
    function = make_schedule(schedule, learning_rate, epochs, steps_per_epoch)
    return [float(function(step)) for step in range(epochs * steps_per_epoch)]


def test_schedules_change_by_epoch_only():
    for name in ("multistep", "cosine", "constant"):
        values = np.array(rates(Schedule(name), 0.1, 12, 3)).reshape(12, 3)
        assert (values == values[:, :1]).all()


@pytest.mark.parametrize(("epochs", "milestones"), [(1000, (666, 833)), (300, (200, 250)), (15, (10, 12))])
def test_multistep_is_the_official_one(epochs, milestones):
    values = np.array(rates(Schedule(), 1e-3, epochs, 1))
    expected = 1e-3 * 0.2 ** np.sum([np.arange(epochs) >= m for m in milestones], axis=0)
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_milestones_on_one_epoch_multiply():
    assert rates(Schedule(milestones=((1, 2), (1, 2))), 1.0, 2, 1) == pytest.approx([1.0, 0.04])


def test_cosine_ends_at_its_floor_and_warmup_rises_to_the_rate():
    values = rates(Schedule("cosine", final=0.1, warmup_epochs=4), 1.0, 20, 1)
    np.testing.assert_allclose(values[:5], [0.2, 0.4, 0.6, 0.8, 1.0], rtol=1e-6)
    expected = [0.1 + 0.9 * (1 + np.cos(np.pi * t / 16)) / 2 for t in range(16)]
    np.testing.assert_allclose(values[4:], expected, rtol=1e-5)


def test_edcs_schedules_are_its_lambdas():
    """`cos2` and, on ImageNet-1K, the line that its code puts in the place of `cos`; both for twice the epochs."""
    epochs, cosine = 30, lambda step: (1 + np.cos(np.pi * step / 60)) / 2
    expected = [cosine(t) if t <= 25 else cosine(25) * (30 - t) / 30 for t in range(epochs)]
    np.testing.assert_allclose(rates(Schedule("cosine_drop", stretch=2), 1.0, epochs, 1), expected, rtol=1e-5)
    assert rates(Schedule("linear", stretch=2), 1.0, epochs, 1) == pytest.approx([1 - t / 60 for t in range(epochs)])


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


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_restart_equals_a_new_optimizer_in_pytorch(name):
    """Two epochs, a new optimizer at a tenth of the rate, two more, as DATM's evaluation does."""
    torch = pytest.importorskip("torch")
    schedule, steps_per_epoch, epochs = Schedule(milestones=((1, 2),), gamma=0.1, restart=True), 3, 4
    steps = restart_steps(schedule, epochs, steps_per_epoch)
    assert steps == (6,)
    ours = make_optimizer(Optimizer(name, 0.05, 5e-4), make_schedule(schedule, 0.05, epochs, steps_per_epoch), steps)
    rng = np.random.default_rng(1)
    start = rng.normal(size=(3, 4)).astype("f")
    params, tensor = jnp.asarray(start), torch.tensor(start, requires_grad=True)
    state, momentum = ours.init(params), {"momentum": 0.9} if name == "sgd" else {}
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[name]
    with jax.numpy_dtype_promotion("standard"):
        update = jax.jit(ours.update)
        for step in range(epochs * steps_per_epoch):
            if step in (0, 6):
                theirs = kind([tensor], lr=0.05 if step == 0 else 0.005, weight_decay=5e-4, **momentum)
            gradient = rng.normal(size=start.shape).astype("f")
            tensor.grad = torch.tensor(gradient)
            theirs.step()
            updates, state = update(jnp.asarray(gradient), state, params)
            params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, tensor.detach(), atol=2e-6)


def test_rdeds_cosine_ends_half_way():
    values = rates(Schedule("cosine", stretch=2), 1e-3, 300, 1)
    expected = [0.5e-3 * (1 + np.cos(np.pi * epoch / 300 / 2)) for epoch in range(300)]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


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
    assert is_reached(schedule, 5) == reached == (max(rates(schedule, 1.0, 5, 1)) == 1.0)


TORCH_CASES = [
    Optimizer("sgd", 0.05, 1e-2, momentum=0.0),
    Optimizer("sgd", 0.05, 1e-2, momentum=0.9),
    Optimizer("sgd", 0.05, 1e-2, momentum=0.9, nesterov=True),
    Optimizer("adam", 0.05, 1e-2),
    Optimizer("adamw", 0.05, 1e-2, betas=(0.8, 0.95), epsilon=1e-6),
    Optimizer("adamw", 0.05, 1e-2, decay_vectors=False),
]


def torch_optimizer(torch, optimizer, matrix, vector):
    spared = 0.0 if not optimizer.decay_vectors else optimizer.weight_decay
    groups = [{"params": [matrix]}, {"params": [vector], "weight_decay": spared}]
    common = {"lr": optimizer.learning_rate, "weight_decay": optimizer.weight_decay}
    if optimizer.name == "sgd":
        return torch.optim.SGD(groups, momentum=optimizer.momentum, nesterov=optimizer.nesterov, **common)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer.name]
    return kind(groups, betas=optimizer.betas, eps=optimizer.epsilon, **common)


@pytest.mark.parametrize("optimizer", TORCH_CASES, ids=str)
def test_twenty_steps_equal_pytorch(optimizer):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start = {"matrix": rng.normal(size=(3, 4)).astype("f"), "vector": rng.normal(size=4).astype("f")}
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in start.items()}
    theirs = torch_optimizer(torch, optimizer, *tensors.values())
    ours = make_optimizer(optimizer, CONSTANT)
    params = jax.tree.map(jnp.asarray, start)
    state = ours.init(params)
    with jax.numpy_dtype_promotion("standard"):
        update = jax.jit(ours.update)
        for _ in range(20):
            gradients = {name: rng.normal(size=array.shape).astype("f") for name, array in start.items()}
            for name, tensor in tensors.items():
                tensor.grad = torch.tensor(gradients[name])
            theirs.step()
            updates, state = update(jax.tree.map(jnp.asarray, gradients), state, params)
            params = optax.apply_updates(params, updates)
    for name, tensor in tensors.items():
        np.testing.assert_allclose(params[name], tensor.detach().numpy(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", ["rmsprop", "adagrad", "lion", "lamb", "adafactor", "muon", "yogi", "lars"])
def test_any_optax_optimizer_goes_by_its_name(name):
    params = {"matrix": jnp.ones((3, 4)), "vector": jnp.ones(3)}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        optimizer = make_optimizer(Optimizer(name, weight_decay=0.1), CONSTANT)
        updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert all((np.asarray(update) < 0).all() for update in jax.tree.leaves(updates))


def test_optax_weight_decay_is_coupled_where_the_optimizer_has_none():
    params, zeros = {"w": jnp.ones(3)}, {"w": jnp.zeros(3)}
    with jax.numpy_dtype_promotion("standard"):
        optimizer = make_optimizer(Optimizer("sign_sgd", weight_decay=0.1), CONSTANT)
        updates, _ = optimizer.update(zeros, optimizer.init(params), params)
    np.testing.assert_allclose(updates["w"], -0.05, rtol=1e-6)  # the sign of the decay term alone


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Optimizer("adamm", 0.1), "'adamm' is unknown"),
        (Optimizer("rmsprop", options=(("decays", 0.5),)), "'decays'"),
        (Optimizer("sgd", options=(("momentum", 0.5),)), "takes no options"),
    ],
)
def test_bad_optimizers_are_named(optimizer, message):
    with pytest.raises(GiftError, match=message):
        make_optimizer(optimizer, CONSTANT)


def test_unknown_schedule_is_named():
    with pytest.raises(GiftError, match="'step' is unknown"):
        make_schedule(Schedule("step"), 0.1, 10, 1)


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
