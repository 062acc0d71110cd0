"""ZCA whitening: one pass over batches equals the definition; files; refusals."""

import numpy as np
import pytest
import safetensors.numpy

from gift_jax.data.zca import ZCA, fit_zca, load_zca, save_zca
from gift_jax.errors import GiftError


def smooth(count, side=6, channels=3, seed=0):
    """Correlated pixels in [0, 1], as images have them."""
    rng = np.random.default_rng(seed)
    return (rng.random((count, 1, side, channels)) + rng.random((count, side, 1, 1))).astype("f") / 2


def definition(images, eps):
    flat = images.astype(np.float64).transpose(0, 3, 1, 2).reshape(len(images), -1)
    vectors, variances, _ = np.linalg.svd(np.cov(flat.T))
    return flat.mean(0), vectors @ np.diag((variances + eps) ** -0.5) @ vectors.T


@pytest.mark.parametrize("sizes", [(50,), (1, 20, 29), (49, 1)])
@pytest.mark.parametrize("eps", [0.1, 0.001])
def test_one_pass_over_batches_equals_the_definition(sizes, eps):
    images = smooth(50)
    zca = fit_zca(iter(np.split(images, np.cumsum(sizes)[:-1])), eps=eps)
    mean, matrix = definition(images, eps)
    np.testing.assert_allclose(zca.mean, mean, atol=1e-6)
    np.testing.assert_allclose(zca.matrix, matrix, atol=1e-6 * np.abs(matrix).max())
    np.testing.assert_array_equal(zca.matrix, zca.matrix.T)


def test_whitened_training_images_are_uncorrelated_and_centred():
    images = smooth(4000, side=3, channels=1)
    white = fit_zca([images], eps=1e-6).whiten(images)
    assert (white.shape, white.dtype) == (images.shape, np.float32)
    kept = np.linalg.eigvalsh(np.cov(white.reshape(4000, -1).T))
    assert np.abs(white.mean(0)).max() < 1e-3
    assert ((np.abs(kept - 1) < 0.01) | (kept < 0.01)).all()  # directions without variance stay without
    assert (kept > 0.9).sum() == 5  # three columns and three rows, less their common offset


def test_bytes_are_255ths():
    levels = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 3), np.uint8)
    of_bytes, of_floats = fit_zca([levels]), fit_zca([levels / 255])
    np.testing.assert_allclose(of_bytes.matrix, of_floats.matrix, atol=1e-6)
    np.testing.assert_allclose(of_bytes.whiten(levels), of_floats.whiten(levels / 255), atol=1e-5)


def test_more_images_than_a_chunk_are_whitened_one_by_one():
    images = smooth(2500, side=2)
    zca = fit_zca([images])
    white = zca.whiten(images)
    for row in (0, 1023, 1024, 2499):
        np.testing.assert_allclose(white[row], zca.whiten(images[row : row + 1])[0], atol=1e-6)


def test_a_whitening_comes_back_as_it_was(tmp_path):
    zca = fit_zca([smooth(20)], eps=0.05)
    save_zca(tmp_path / "zca.safetensors", zca)
    back = load_zca(tmp_path / "zca.safetensors")
    np.testing.assert_array_equal(back.mean, zca.mean)
    np.testing.assert_array_equal(back.matrix, zca.matrix)
    assert (back.channels, back.eps, back.side) == (3, 0.05, 6)
    content = (tmp_path / "zca.safetensors").read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "zca.safetensors").write_bytes(content[:length])
        with pytest.raises(GiftError, match=r"zca\.safetensors: no readable whitening"):
            load_zca(tmp_path / "zca.safetensors")
    with pytest.raises(GiftError, match=r"other\.safetensors: no such file"):
        load_zca(tmp_path / "other.safetensors")
    safetensors.numpy.save_file({"mean": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(GiftError, match="but not a whitening"):
        load_zca(tmp_path / "other.safetensors")


BAD = {
    "none": (lambda: fit_zca([]), "two images at least, and there are 0"),
    "one": (lambda: fit_zca([smooth(1)]), "there are 1"),
    "two sizes": (lambda: fit_zca([smooth(5), smooth(5, side=5)]), r"is \[5, 5, 5, 3\], expected"),
    "not square": (lambda: fit_zca([smooth(5)[:, :3]]), "expected"),
    "flat": (lambda: fit_zca([smooth(5).reshape(5, -1)]), "expected"),
    "bytes as floats": (lambda: fit_zca([smooth(5) * 255]), "must be uint8, or floats in"),
    "nan": (lambda: fit_zca([smooth(5) * np.float32("nan")]), "must be uint8, or floats in"),
    "another size": (lambda: fit_zca([smooth(9)]).whiten(smooth(2, side=5)), "the whitening is of"),
    "a matrix": (lambda: ZCA(np.zeros(12, "f"), np.zeros((12, 11), "f"), 3), "the whitening has mean"),
    "a side": (lambda: ZCA(np.zeros(11, "f"), np.zeros((11, 11), "f"), 3), "the whitening has mean"),
    "a mean": (lambda: ZCA(np.zeros((3, 4), "f"), np.zeros((3, 3), "f"), 3), "the whitening has mean"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(GiftError, match=message):
        make()


def test_whitening_equals_kornias():
    """Which the official code uses."""
    torch = pytest.importorskip("torch")
    kornia = pytest.importorskip("kornia.enhance", reason="installed by the tests' extra for 3.11")
    rng = np.random.default_rng(0)
    images = (rng.random((200, 1, 8, 3)) + rng.random((200, 8, 1, 1)) + 0.2 * rng.random((200, 8, 8, 3))) / 2.2
    oracle = kornia.ZCAWhitening(eps=0.1)
    oracle.fit(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    for batch in (images, rng.random((20, 8, 8, 3))):  # the test set is whitened by the training set's matrix
        expected = oracle(torch.from_numpy(batch.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(fit_zca(np.split(images, 4)).whiten(batch), expected, atol=1e-5)
