"""Distilled sets: round trip, refusals, and the pixels' way into a network."""

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from setups import distilled_set

import gift_jax
from gift_jax.data.datasets import DATASETS, DIGITS, Normalisation
from gift_jax.data.digits import load_split
from gift_jax.data.pixels import to_input
from gift_jax.errors import GiftError


@given(soft=st.booleans(), raw=st.booleans(), count=st.integers(1, 30), note=st.text(max_size=20))
@settings(deadline=None, max_examples=25)
def test_a_set_comes_back_as_it_was(tmp_path_factory, soft, raw, count, note):
    path = tmp_path_factory.mktemp("sets") / "x.safetensors"
    rng = np.random.default_rng(count)
    changes = {"soft_labels": rng.normal(size=(count, 10)).astype("f")} if soft else {}
    if not raw:
        changes |= {"images": rng.normal(size=(count, 8, 8, 1)).astype("f"), "pixel_space": "zca"}
    distilled = distilled_set(count, provenance={"note": note}, **changes)
    gift_jax.save_distilled(path, distilled)
    back = gift_jax.load_distilled(path)
    for name, value in vars(distilled).items():
        np.testing.assert_array_equal(getattr(back, name), value)
        if isinstance(value, np.ndarray):
            assert getattr(back, name).dtype == value.dtype


BAD = {
    "pixel space": ({"pixel_space": "hsv"}, "'hsv' is unknown"),
    "whitened bytes": ({"pixel_space": "zca"}, "raw ones are uint8 or float32, others float32"),
    "channels": ({"images": np.zeros((22, 8, 8, 3), np.uint8)}, r"\[N, H, W, 1\]"),
    "not square": ({"images": np.zeros((22, 8, 9, 1), np.uint8)}, "square"),
    "dtype": ({"images": np.zeros((22, 8, 8, 1), np.float64)}, "float64"),
    "label count": ({"labels": np.zeros(21, np.int32)}, r"int32\[21\], expected int32\[22\]"),
    "label range": ({"labels": np.full(22, 10, np.int32)}, r"in 0\.\.9"),
    "soft labels": ({"soft_labels": np.zeros((22, 9), np.float32)}, r"expected float32\[22, 10\]"),
    "nan": ({"images": np.full((22, 8, 8, 1), np.nan, np.float32)}, "not finite"),
    "out of range": ({"images": np.full((22, 8, 8, 1), 1.5, np.float32)}, r"must be in \[0, 1\]"),
    "dataset": ({"dataset": "digit"}, "'digit' is unknown"),
}


@pytest.mark.parametrize("name", BAD)
def test_parts_that_do_not_fit_are_named(name):
    changes, message = BAD[name]
    with pytest.raises(GiftError, match=message):
        distilled_set(**changes)


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(GiftError, match=r"x\.safetensors: no such file"):
        gift_jax.load_distilled(path)
    gift_jax.save_distilled(path, distilled_set())
    whole = path.read_bytes()
    for length in (0, 7, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(GiftError, match=r"x\.safetensors: not a readable distilled set"):
            gift_jax.load_distilled(path)


def test_other_safetensors_files_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(GiftError, match="but not a distilled set"):
        gift_jax.load_distilled(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    gift_jax.save_distilled(path, distilled_set())
    before = path.read_bytes()

    def full_disk(arrays, target, metadata):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gift_jax.data.distilled.save_file", full_disk)
    with pytest.raises(GiftError, match=r"x\.safetensors: No space left on device"):
        gift_jax.save_distilled(path, distilled_set(5))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_raw_pixels_are_normalised_and_others_pass():
    normalisation = Normalisation((0.5,), (0.25,))
    levels = jnp.asarray([[[[0], [255]]]], jnp.uint8)
    np.testing.assert_allclose(to_input(levels, "raw", normalisation).ravel(), [-2, 2])
    floats = jnp.asarray([[[[0.0], [1.0]]]])
    np.testing.assert_allclose(to_input(floats, "raw", normalisation).ravel(), [-2, 2])
    for space in ("normalised", "zca"):
        np.testing.assert_array_equal(to_input(floats, space, normalisation), floats)


def test_digits_are_split_evenly_and_apart():
    split = load_split()
    assert len(split.train_labels) + len(split.test_labels) == 1797
    shares = np.bincount(split.test_labels) / np.bincount(np.concatenate([split.train_labels, split.test_labels]))
    assert (np.abs(shares - 1 / 3) < 0.01).all()
    pixels = split.train_images / 255
    np.testing.assert_allclose((DIGITS.mean[0], DIGITS.std[0]), (pixels.mean(), pixels.std()), atol=5e-5)


@pytest.mark.parametrize(
    ("dataset", "model", "size"),
    [
        ("cifar10", "conv3", 32),
        ("tinyimagenet", "conv4", 64),
        ("imagenet-1k", "conv4", 64),
        ("imagenet-1k", "resnet18", 224),
        ("imagenet-nette", "conv5", 128),
        ("imagenet-100", "conv6", 128),
    ],
)
def test_input_sizes_are_the_official_ones(dataset, model, size):
    assert DATASETS[dataset].input_size(model) == size
