"""ZCA whitening against kornia's, which the official code uses."""

import numpy as np
import pytest
import torch

from gift_jax.data.zca import fit_zca


def test_whitening_equals_kornias():
    rng = np.random.default_rng(0)
    images = (rng.random((200, 1, 8, 3)) + rng.random((200, 8, 1, 1)) + 0.2 * rng.random((200, 8, 8, 3))) / 2.2
    oracle = pytest.importorskip("kornia.enhance", reason="installed by the tests' extra for 3.11").ZCAWhitening(
        eps=0.1
    )
    oracle.fit(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    others = rng.random((20, 8, 8, 3))
    for batch in (images, others):  # the test set is whitened by the training set's matrix
        expected = oracle(torch.from_numpy(batch.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
        white = fit_zca(np.split(images, 4)).whiten(batch)
        np.testing.assert_allclose(white, expected, atol=1e-5)
