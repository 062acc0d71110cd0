"""Which batches of a pool of stored labels an epoch has."""

from collections.abc import Callable, Mapping

import numpy as np

from gift_jax.data.stored_info import StoredInfo

_SEED = 42  # of the draws, which are the same for every seed of a run


def _with_replacement(info: StoredInfo, number: int) -> np.ndarray:
    """The last batch of an epoch gives way to the one before it, as in LPLD's code, where it may be smaller."""
    picks = np.random.default_rng([_SEED, number]).integers(info.all_batches, size=info.steps)
    return picks - (((picks + 1) % info.steps == 0) & (info.steps > 1))


def _without_replacement(info: StoredInfo, number: int) -> np.ndarray:
    return np.random.default_rng([_SEED, number]).choice(info.all_batches, info.steps, replace=False)


def _in_turns(info: StoredInfo, number: int) -> np.ndarray:
    """Every batch once, in a new order each time all were shown."""
    turn, place = divmod(number, info.whole_epochs)
    order = np.random.default_rng([_SEED, turn]).permutation(info.all_batches)
    return order[place * info.steps :][: info.steps]


DRAWS: Mapping[str, Callable[[StoredInfo, int], np.ndarray]] = {
    "with_replacement": _with_replacement,
    "without_replacement": _without_replacement,
    "in_turns": _in_turns,
}
"""By name, `(info, epoch) -> numbers of an epoch's batches`, drawn from all, which are a pool; `stored` are its own.

Reference: `stored` is SRe2L's, `with_replacement` LPLD's, `without_replacement` LPQLD's and `in_turns` HALD's.
"""
