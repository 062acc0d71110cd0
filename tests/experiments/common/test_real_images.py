"""Real images as training sets."""

import numpy as np
import pytest

from experiments.common.real_images import draw_rows
from gift_jax import GiftError


def test_rows_are_drawn_by_class_and_seed():
    labels = np.repeat([0, 1, 2], [4, 6, 5])
    rows = draw_rows(labels, 3, seed=0)
    np.testing.assert_array_equal(labels[rows], [0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert len(set(rows.tolist())) == 9
    np.testing.assert_array_equal(rows, draw_rows(labels, 3, seed=0))
    assert any(set(rows) != set(draw_rows(labels, 3, seed)) for seed in (1, 2, 3))
    with pytest.raises(GiftError, match="--ipc must be at most 4, the real images of class 0, not 5"):
        draw_rows(labels, 5, seed=0)
