"""Temperatures of a loss that change from epoch to epoch, asked for among the options of the loss.

Beside `temperature`, which they begin with: `cooling`, `step` or `cosine`; `cooling_final`, which they do not fall
below; for `step` a factor, `cooling_factor`, after every `cooling_every` epochs; for `cosine` its length in epochs,
`cooling_epochs`.
"""

import dataclasses
import inspect
from typing import Any

import jax
import jax.numpy as jnp

from gift_jax.errors import GiftError
from gift_jax.losses import LOSSES
from gift_jax.recipes.recipe import Recipe

COOLINGS = ("step", "cosine")
_PREFIX = "cooling"


@dataclasses.dataclass(frozen=True)
class Cooling:
    """Temperatures over epochs. Reference: `temp_scheduler` in LPQLD's train_FKD_LPQLD.py, with epochs from 1 on."""

    name: str
    start: float
    final: float = 1.0
    factor: float = 0.5
    every: int = 30
    epochs: int = 300

    def at(self, epoch: jax.Array | int) -> jax.Array:
        """The temperature of an epoch, int, counted from 0. Returns: float32."""
        epoch = jnp.asarray(epoch, jnp.int32) + 1
        if self.name == "step":
            drops = (epoch // self.every).astype(jnp.float32)
            return jnp.maximum(self.start * jnp.power(jnp.float32(self.factor), drops), self.final)
        share = (1 + jnp.cos(jnp.pi * epoch.astype(jnp.float32) / self.epochs)) / 2
        return self.final + (self.start - self.final) * share


def split_options(recipe: Recipe) -> tuple[dict[str, Any], Cooling | None]:
    """The options of the loss itself, and how its temperature changes. Raises: GiftError if no such change is known."""
    options: dict[str, Any] = dict(recipe.loss_options)
    asked = {name.removeprefix(f"{_PREFIX}_"): options.pop(name) for name in list(options) if name.startswith(_PREFIX)}
    if not asked:
        return options, None
    known = {field.name for field in dataclasses.fields(Cooling)} - {"name", "start"}
    name = asked.pop(_PREFIX, None)
    if "temperature" not in inspect.signature(LOSSES[recipe.loss]).parameters:
        raise GiftError(f"loss {recipe.loss!r} has no temperature to change; drop {_PREFIX} from loss_options")
    if name not in COOLINGS or not asked.keys() <= known or "temperature" not in options:
        raise GiftError(
            f"loss_options: a temperature that changes needs temperature, {_PREFIX} ({' or '.join(COOLINGS)}) and of "
            f"{', '.join(f'{_PREFIX}_{option}' for option in sorted(known))} those that it reads"
        )
    if low := [option for option, value in asked.items() if not value > 0]:
        raise GiftError(f"loss_options: {_PREFIX}_{low[0]} is {asked[low[0]]}, expected a number above 0")
    return options, Cooling(name, options.pop("temperature"), **asked)
