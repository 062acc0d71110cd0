"""An optimizer of PyTorch's, or any of optax by its name there, with the arguments and the losses that it asks for."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from gift_jax.errors import GiftError, unknown_name
from gift_jax.optim import pytorch
from gift_jax.optim.settings import RATES, REFUSED, Optimizer
from gift_jax.optim.states import restarting

# Their updates take, beside the gradient, the loss and the function of the parameters that it is the value of.
LOSS_READERS = frozenset({"lbfgs", "momo", "momo_adam", "polyak_sgd", "sam", "sophia"})


def make_optimizer(
    optimizer: Optimizer, schedule: optax.Schedule, restarts: tuple[int, ...] = ()
) -> optax.GradientTransformation:
    """Build the optax transformation, its state new again at the steps of restarts.

    Raises: GiftError for an unknown name or option, and for an optimizer that cannot be trained with.
    """
    if restarts:
        # The schedule counts all steps: it stays outside of what starts anew.
        direction = make_optimizer(optimizer, optax.constant_schedule(1.0))
        return _scaled(restarting(direction, restarts), schedule)
    name = optimizer.name
    if name in REFUSED:
        raise GiftError(f"optimizer {name!r} {REFUSED[name]}")
    if name in pytorch.OPTIMIZERS:
        if optimizer.options:
            raise GiftError(f"optimizer {name!r} takes no options; set momentum, betas or epsilon")
        return pytorch.OPTIMIZERS[name](optimizer, schedule)
    try:
        return _BUILDERS.get(name, _usual)(optimizer, schedule, **dict(optimizer.options))
    except (TypeError, ValueError) as error:
        raise GiftError(f"optimizer {name!r}: {error}; give its arguments as options") from None


def _usual(optimizer: Optimizer, schedule: optax.Schedule, **options: Any) -> optax.GradientTransformation:
    constructor = _find_constructor(optimizer.name)
    parameters = inspect.signature(constructor).parameters
    # optax.contrib.muon calls its mask by another name than optax.adamw.
    masks = {name: pytorch.mask(optimizer) for name in ("mask", "weight_decay_mask") if name in parameters}
    decay = {"weight_decay": optimizer.weight_decay, **masks} if "weight_decay" in parameters else {}
    if decay and not masks and optimizer.weight_decay and not optimizer.decay_vectors:
        raise GiftError(
            f"optimizer {optimizer.name!r} decays all arrays; leave decay_vectors at True, or weight_decay at 0"
        )
    arguments = _ARGUMENTS.get(optimizer.name, dict)()
    inner = constructor(learning_rate=schedule, **{**decay, **arguments, **options})
    return inner if decay else pytorch.coupled(optimizer, inner)


def _find_constructor(name: str) -> Callable[..., Any]:
    for module in (optax, optax.contrib):
        constructor: Any = getattr(module, name, None)
        # `optax.nadam` is a partial function, and no class has a rate.
        hidden = inspect.isclass(constructor) or name.startswith(("_", "scale_by"))
        if not hidden and callable(constructor) and "learning_rate" in inspect.signature(constructor).parameters:
            return constructor
    raise unknown_name("optimizer", name, RATES)


def _matrices(numbers: Callable[[tuple[int, ...], tuple[int, ...]], Any]) -> Callable[[optax.Params], Any]:
    """Kernels as matrices of inputs by outputs, the last axis, in an optimizer's own terms; vectors are None."""

    def dimensions(array: jax.Array) -> Any:
        inputs = tuple(range(array.ndim - 1))
        return numbers(inputs, (array.ndim - 1,)) if inputs else None

    return lambda params: jax.tree.map(dimensions, params)


# What optax leaves to its caller, or advises for networks such as ours; called late, as keys are made on a device.
_ARGUMENTS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    # Of networks with BatchNorm.
    "dog": lambda: {"init_step": ("heuristic", 1e-4)},
    "galore": lambda: {"weight_dimension_numbers": _matrices(optax.contrib.GaLoreDimensionNumbers)},
    # The kernels' updates are scaled to AdamW's (Liu et al., 2025), as the vectors' updates are Adam's at one rate.
    "muon": lambda: {
        "muon_weight_dimension_numbers": _matrices(optax.contrib.MuonDimensionNumbers),
        "consistent_rms": 0.2,
    },
    "noisy_sgd": lambda: {"key": 0},
    "sophia": lambda: {
        "hessian_diagonal_fn": optax.contrib.hutchinson_estimator_diag_hessian(jax.random.key(0)),
    },
}


def _scaled(inner: optax.GradientTransformation, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Steps of inner times the rate, for an inner one that takes a number alone."""
    return optax.chain(inner, optax.scale_by_schedule(schedule))


def _sam(
    optimizer: Optimizer, schedule: optax.Schedule, rho: float = 0.05, **options: Any
) -> optax.GradientTransformation:
    """Sharpness-aware minimisation: SGD on the gradient at the worst point within rho (Foret et al., 2021)."""
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(rho))
    inner: Any = optax.contrib.sam(pytorch.sgd(optimizer, schedule), ascent, opaque_mode=True, **options)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        gradient = jax.grad(extra["value_fn"])
        return inner.update(updates, state, params, grad_fn=lambda params, step: gradient(params))

    return optax.GradientTransformationExtraArgs(inner.init, update)


_BUILDERS: Mapping[str, Callable[..., optax.GradientTransformation]] = {
    "lbfgs": lambda one, schedule, **options: _penalised(one, optax.lbfgs(schedule, **options)),
    "mechanize": lambda one, schedule, **options: optax.contrib.mechanize(pytorch.adamw(one, schedule), **options),
    # A smaller `scaling` of optax's would make larger steps, for the gradient is scaled before its norm is taken.
    "polyak_sgd": lambda one, schedule, **options: _penalised(one, _scaled(optax.polyak_sgd(**options), schedule)),
    # The rate is the first step of each weight; later ones follow from the signs of the gradient alone.
    "rprop": lambda one, schedule, **options: pytorch.coupled(one, optax.rprop(schedule(0), **options)),
    "sam": _sam,
    "sm3": lambda one, schedule, **options: pytorch.coupled(one, _scaled(optax.sm3(1.0, **options), schedule)),
}


def _penalised(optimizer: Optimizer, inner: optax.GradientTransformation) -> optax.GradientTransformation:
    """Weight decay of an optimizer that reads the loss: part of the loss, for gradient and loss to agree."""
    extended, mask = optax.with_extra_args_support(inner), pytorch.mask(optimizer)

    def penalty(params: Any) -> jax.Array:
        chosen = mask(params) if mask else jax.tree.map(lambda array: True, params)
        squares = jax.tree.map(lambda array, decayed: jnp.sum(array**2) if decayed else 0.0, params, chosen)
        return jnp.asarray(optimizer.weight_decay / 2 * sum(jax.tree.leaves(squares)))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        value, value_fn = extra["value"], extra["value_fn"]
        gradient = jax.tree.map(jnp.add, updates, jax.grad(penalty)(params))
        whole = {"value": value + penalty(params), "value_fn": lambda params: value_fn(params) + penalty(params)}
        return extended.update(gradient, state, params, grad=gradient, **whole)

    return optax.GradientTransformationExtraArgs(inner.init, update)
