"""Windows of images as slices, which XLA:CPU computes faster than windows one by one."""

from collections.abc import Sequence

import jax


def window_places(
    padded: jax.Array, window: Sequence[int], strides: Sequence[int], counts: Sequence[int]
) -> list[jax.Array]:
    """What each place of a window has in all windows, row by row: arrays [B, *counts, C], a place each.

    Args: padded, [B, H, W, C]; window, its height and width; strides of windows, and counts of them, down and across.
    """
    (down, right), (rows, columns) = strides, counts
    return [
        padded[:, i : i + down * (rows - 1) + 1 : down, j : j + right * (columns - 1) + 1 : right]
        for i in range(window[0])
        for j in range(window[1])
    ]
