"""An optimizer of PyTorch's or of optax's, by its name."""

import optax

from gift_jax.errors import GiftError
from gift_jax.optim.optax_by_name import make_of_optax
from gift_jax.optim.pytorch import OPTIMIZERS
from gift_jax.optim.settings import Optimizer
from gift_jax.optim.states import restarting


def make_optimizer(
    optimizer: Optimizer, schedule: optax.Schedule, restarts: tuple[int, ...] = ()
) -> optax.GradientTransformation:
    """Build the optax transformation, its state new again at the steps of restarts.

    Raises: GiftError for an unknown name or option, and for an optimizer that cannot be trained with.
    """
    if restarts:
        # The schedule counts all steps: it stays outside of what starts anew.
        direction = make_optimizer(optimizer, optax.constant_schedule(1.0))
        return optax.chain(restarting(direction, restarts), optax.scale_by_schedule(schedule))
    if optimizer.name in OPTIMIZERS:
        if optimizer.options:
            raise GiftError(f"optimizer {optimizer.name!r} takes no options; set momentum, betas or epsilon")
        return OPTIMIZERS[optimizer.name](optimizer, schedule)
    return make_of_optax(optimizer, schedule)
