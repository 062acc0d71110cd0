"""Which seeds there are: a key of JAX has 32 bits of one, and would take a larger one for another."""

from collections.abc import Sequence

from gift_jax.errors import GiftError

SEEDS = 2**32


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises: GiftError if there is no seed, one that is not a whole number from 0 to 2^32 - 1, or one twice."""
    if len(seeds) == 0:
        raise GiftError("there is no seed; give one at least by `seeds`")
    for seed in seeds:
        if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed < SEEDS:
            raise GiftError(f"seed {seed}: seeds are whole numbers from 0 to {SEEDS - 1}; choose another")
    if len(set(seeds)) < len(seeds):
        raise GiftError(f"`seeds` {' '.join(map(str, seeds))}: give each seed once")
