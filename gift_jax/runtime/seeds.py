"""Which seeds there are: a key of JAX has 32 bits of one, and would take a larger one for another."""

import operator
from collections.abc import Iterable

from gift_jax.errors import GiftError

SEEDS = 2**32


def check_seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds as Python's numbers, which JSON has.

    Raises: GiftError if there is no seed, one that is not a whole number from 0 to 2^32 - 1, or one twice.
    """
    if not isinstance(seeds, Iterable):
        raise GiftError(f"`seeds` are several, such as [{seeds}], not {seeds!r}")
    numbers = [*map(_whole, seeds)]
    if not numbers:
        raise GiftError("there is no seed; give one at least by `seeds`")
    if len({*numbers}) < len(numbers):
        raise GiftError(f"`seeds` {' '.join(map(str, numbers))}: give each seed once")
    return numbers


def _whole(seed: int) -> int:
    try:
        number = -1 if isinstance(seed, bool) else operator.index(seed)  # NumPy's and JAX's numbers have one
    except TypeError:
        number = -1
    if not 0 <= number < SEEDS:
        raise GiftError(f"seed {seed}: seeds are whole numbers from 0 to {SEEDS - 1}; choose another")
    return number
