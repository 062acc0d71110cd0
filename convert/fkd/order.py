"""The order in which torch's RandomSampler shows images."""

import numpy as np
import torch


def sampler_order(count: int, epochs: int, seed: int) -> np.ndarray:
    """Rows by epoch, int32 [epochs, count], of `RandomSampler` over one generator with this seed.

    It draws a second permutation after each epoch, of which it shows none: another epoch's order follows from both.
    """
    generator = torch.Generator().manual_seed(seed)
    orders = np.empty((epochs, count), np.int32)
    for order in orders:
        order[:] = torch.randperm(count, generator=generator).numpy()
        torch.randperm(count, generator=generator)
    return orders
