"""Distilled sets: round trip, refusals, and the pixels' way into a network."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor, wait

import fuzzing
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from setups import distilled_set

import gift_jax
from gift_jax.data.datasets import DATASETS, DIGITS_NORMALISATION, Normalisation
from gift_jax.data.digits import load_split
from gift_jax.data.distilled import PIXEL_SPACES, StoredSet, from_parts, save_distilled, save_new_distilled, to_parts
from gift_jax.data.network_input import to_input
from gift_jax.errors import GiftError
from gift_jax.runtime.files import locked


@given(soft=st.booleans(), space=st.sampled_from(PIXEL_SPACES), count=st.integers(1, 30), note=st.text(max_size=20))
@settings(deadline=None, max_examples=25)
def test_a_set_comes_back_as_it_was(tmp_path_factory, soft, space, count, note):
    path = tmp_path_factory.mktemp("sets") / "x.safetensors"
    rng = np.random.default_rng(count)
    changes = {"soft_labels": rng.normal(size=(count, 10)).astype("f")} if soft else {}
    if space != "raw":
        changes |= {"images": rng.normal(size=(count, 8, 8, 1)).astype("f"), "pixel_space": space}
    if space == "normalised":
        changes["normalisation"] = Normalisation((0.5,), (0.25,))
    distilled = distilled_set(count, provenance={"note": note}, **changes)
    gift_jax.save_distilled(path, distilled)
    assert_same(gift_jax.load_distilled(path), distilled)


def assert_same(found, expected):
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), value)
        if isinstance(value, np.ndarray):
            assert getattr(found, name).dtype == value.dtype


@pytest.fixture
def path(tmp_path):
    """A set that was saved."""
    gift_jax.save_distilled(tmp_path / "x.safetensors", distilled_set())
    return tmp_path / "x.safetensors"


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_a_damaged_set_is_refused_or_the_same(soft, tmp_path):
    labels = np.random.default_rng(0).normal(size=(22, 10)).astype("f") if soft else None
    path, distilled = tmp_path / "x.safetensors", distilled_set(soft_labels=labels, provenance={"note": "mine"})
    gift_jax.save_distilled(path, distilled)

    def load():
        assert_same(gift_jax.load_distilled(path), distilled)
        return True

    assert fuzzing.of_mutants(path, load, 1000).count(None) > 900


def test_sets_without_a_digest_still_load_but_only_those_of_the_old_format(tmp_path):
    path, distilled = tmp_path / "x.safetensors", distilled_set()
    metadata = {"format": "gift_jax distilled set 1", "pixel_space": "raw", "dataset": "digits", "method": "random"}
    metadata |= {"ipc": "2", "provenance": "{}", "classes": "null"}
    arrays = {"images": distilled.images, "labels": distilled.labels}
    safetensors.numpy.save_file(arrays, path, metadata)
    np.testing.assert_array_equal(gift_jax.load_distilled(path).images, distilled.images)
    safetensors.numpy.save_file(arrays, path, {**metadata, "format": "gift_jax distilled set 2"})
    with pytest.raises(GiftError, match="does not fit the digest"):
        gift_jax.load_distilled(path)


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
    "statistics": ({"normalisation": Normalisation((0.5,), (0.5,))}, "go with normalised pixels, 1 of each"),
    "dataset": ({"dataset": "digit"}, "'digit' is unknown"),
    "no images a class": ({"ipc": 0}, "ipc is 0, expected a whole number from 1"),
    "text for a number": ({"ipc": "10"}, "ipc is '10', expected a whole number from 1"),
    "formation": ({"formation": 0}, "formation is 0, expected a whole number from 1"),
    "learning rate": ({"learning_rate": np.nan}, "its learning rate is nan, expected one above 0"),
    "nine class names": ({"class_names": ("a",) * 9}, "expected 10, or none, in a tuple"),
    "names in one text": ({"class_names": "abcdefghij"}, "expected 10, or none, in a tuple"),
    "classes": ({"classes": (0, 0, *range(8))}, r"is restricted to the classes \(0, 0, .* expected different ones"),
    "other classes": ({"classes": tuple(range(90, 100))}, r"expected different ones in 0\.\.9"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_parts_that_do_not_fit_are_named(changes, message):
    with pytest.raises(GiftError, match=message):
        distilled_set(**changes)


def test_damaged_files_are_named(path):
    whole, other = path.read_bytes(), {"weight": np.zeros(3)}
    for damage, message in (
        (lambda: path.write_bytes(whole[:40]), "not a readable distilled set"),
        (path.unlink, "no such file"),
        (lambda: safetensors.numpy.save_file(other, path), "a safetensors file, but not a distilled set"),
    ):
        damage()
        with pytest.raises(GiftError, match=rf"x\.safetensors: {message}"):
            gift_jax.load_distilled(path)


def test_names_rate_and_formation_come_back_and_are_read_from_old_provenance(tmp_path):
    plain, told = distilled_set(), {"class_names": tuple("abcdefghij"), "learning_rate": 0.0123, "formation": 3}
    full = dataclasses.replace(plain, **told)
    gift_jax.save_distilled(tmp_path / "x.safetensors", full)
    found = gift_jax.load_distilled(tmp_path / "x.safetensors")
    assert {name: getattr(found, name) for name in told} == told
    old = {
        "class_names": json.dumps([*"abcdefghij"]),
        "learning_rate": "0.0123",
        "formation": "each stored image is 3 x 3 images of 3 pixels",
        "source": "x",
    }
    arrays, metadata = to_parts(dataclasses.replace(plain, provenance=old))
    assert not set(told) & set(metadata)  # the digest of a set without them is what it was
    found = from_parts(StoredSet(arrays, metadata), "x")
    assert {name: getattr(found, name) for name in told} == told
    assert found.provenance == {"source": "x"}
    restricted = dataclasses.replace(plain, labels=plain.labels % 2, classes=(3, 5), provenance=old)
    assert from_parts(to_parts(restricted), "x").class_names == ("d", "f")


def test_of_two_that_write_a_set_at_once_the_second_is_refused(tmp_path):
    path, (first, second) = tmp_path / "set.safetensors", (distilled_set(4), distilled_set(4, ipc=1))
    with ThreadPoolExecutor() as pool:
        with locked(path, "the first one writes"):
            later = pool.submit(save_new_distilled, path, second)
            wait([later], timeout=0.5)  # for the second to come as far as it may
            save_distilled(path, first)
        assert isinstance(later.exception(), GiftError)
    assert gift_jax.load_distilled(path).ipc == first.ipc


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
    pixels, usual = split.train_images / 255, DIGITS_NORMALISATION
    np.testing.assert_allclose((*usual.mean, *usual.std), (pixels.mean(), pixels.std()), atol=5e-5)


# Of a ConvNet and of a ResNet.
SIZES = {"cifar10": (32, 32), "tinyimagenet": (64, 64), "imagenet-1k": (64, 224)}
SIZES |= {"imagenet-nette": (128, 224), "imagenet-100": (128, 224)}


@pytest.mark.parametrize("dataset", SIZES)
def test_input_sizes_are_the_official_ones(dataset):
    assert tuple(DATASETS[dataset].input_size(model) for model in ("conv4", "resnet18")) == SIZES[dataset]
