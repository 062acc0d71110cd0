"""Which seeds are taken, by everything that draws."""

import jax.numpy as jnp
import numpy as np
import pytest
from setups import random_teacher

from gift_jax import create, rded
from gift_jax.errors import GiftError
from gift_jax.runtime.seeds import check_seeds

WRONG = [-1, 2**32, 2**64, 0.5, True, "1", None]


def test_seeds_are_whole_numbers_of_32_bits():
    assert check_seeds([0, 1, 2**32 - 1, np.int64(7)]) == [0, 1, 2**32 - 1, 7]
    assert check_seeds(jnp.arange(2)) == check_seeds(seed for seed in range(2)) == [0, 1]
    with pytest.raises(GiftError, match=r"`seeds` are several, such as \[3\], not 3"):
        check_seeds(3)


@pytest.mark.parametrize("seed", WRONG)
def test_others_are_refused(seed):
    with pytest.raises(GiftError, match="whole numbers from 0 to 4294967295"):
        check_seeds([3, seed])


@pytest.mark.parametrize("seeds", [[], [1, 1], [2, np.int64(2)], [0, -0]])
def test_none_and_the_same_twice_are_refused(seeds):
    with pytest.raises(GiftError, match=r"give one at least|give each seed once"):
        check_seeds(seeds)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_what_draws_refuses_them(seed):
    images, labels = np.zeros((40, 8, 8, 1), np.uint8), np.arange(40) % 10
    with pytest.raises(GiftError, match=f"seed {seed}"):
        create("conv1", num_classes=2, image_size=8, seed=seed)
    with pytest.raises(GiftError, match=f"seed {seed}"):
        rded.synthesize(images, labels, random_teacher(), ipc=1, seed=seed)
