"""Augmentations against golden PyTorch values; strategies against their definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gift_jax import augment
from gift_jax.errors import GiftError
from gift_jax.pixels.crops import random_mosaic_crop
from gift_jax.pixels.mixing import no_mix
from gift_jax.runtime.compiling import tracing_for_platform

CASES = range(3)
OPERATIONS = ("flip", "brightness", "saturation", "contrast", "crop", "cutout", "scale", "rotate")


@functools.cache
def load(golden):
    return np.load(golden / "augment.npz")


def images_of(golden, case):
    return jnp.asarray(load(golden)[f"case{case}/images_nchw"].transpose(0, 2, 3, 1))


def narrow(draws):
    return jnp.asarray(draws.astype(np.float32 if draws.dtype.kind == "f" else np.int32))


# Products and shears take the place of gathers on TPUs.
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("operation", "platform"), [*((name, "cpu") for name in OPERATIONS), ("crop", "tpu"), ("rotate", "tpu")]
)
def test_operation_equals_pytorch(golden, operation, platform, case):
    file, prefix = load(golden), f"case{case}/{operation}/"
    draws = {n.removeprefix(prefix): narrow(file[n]) for n in file.files if n.startswith(prefix)}
    expected = draws.pop("out_nchw")
    with tracing_for_platform(platform):
        out = jax.jit(lambda *given, **draws: getattr(augment, operation)(*given, **draws))(
            images_of(golden, case), **draws
        )
    np.testing.assert_allclose(out.transpose(0, 3, 1, 2), expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("row", "col"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_mosaic_crop_equals_pytorch(golden, row, col, case):
    images = images_of(golden, case)
    places = (jnp.full(len(images), place) for place in (row, col))
    out = augment.mosaic_crop(images, 2, *places)
    expected = load(golden)[f"case{case}/factor_crop/cell{row}{col}/out_nchw"]
    np.testing.assert_allclose(out.transpose(0, 3, 1, 2), expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("size", [8, 9, 32, 33, 224])
def test_draw_limits_are_the_official_ones(size):
    square = int(size * 0.5 + 0.5)
    assert augment.crop_limit(size) == int(size * 0.125 + 0.5)
    assert augment.cutout_limit(size) == size + (1 - square % 2)


@pytest.fixture
def images(key):
    return jax.random.normal(jax.random.fold_in(key, 1), (6, 12, 12, 3))


def test_strategy_is_decided_by_its_key_and_differs_by_image(images, key):
    strategy = jax.jit(augment.make_strategy())
    same = jnp.broadcast_to(images[:1], images.shape)
    out = strategy(key, same)
    np.testing.assert_array_equal(out, strategy(key, same))
    assert len(np.unique(np.asarray(out).reshape(6, -1), axis=0)) == 6
    assert not np.array_equal(out, strategy(jax.random.fold_in(key, 2), same))


def test_one_geometric_operation_is_chosen_for_each_batch(key):
    """A batch of ones: crop leaves ones and zeros, scale and rotate also values between, only at the border."""
    ones = jnp.ones((8, 16, 16, 3))
    strategy = jax.jit(augment.make_strategy("crop_scale_rotate"))
    seen = set()
    for draw in range(30):
        out = np.asarray(strategy(jax.random.fold_in(key, draw), ones))
        fractional = ((out > 1e-4) & (out < 1 - 1e-4)).any(axis=(1, 2, 3))
        seen.add("crop" if not fractional.any() else "warp")
    assert seen == {"crop", "warp"}


def test_official_strategy_always_cuts_out(images, key):
    for draw in range(10):
        out = np.asarray(augment.make_strategy()(jax.random.fold_in(key, draw), images + 10))
        assert ((out == 0).all(axis=-1).sum(axis=(1, 2)) >= 9).all()


def test_single_mode_applies_one_of_six_operations_to_the_whole_batch(images, key):
    strategy = jax.jit(augment.make_strategy(single=True))
    draws, seen = 60, dict.fromkeys(augment.OPERATIONS, 0)
    for draw in range(draws):
        batch_key = jax.random.fold_in(key, draw)
        out = np.asarray(strategy(batch_key, images))
        # The strategy draws for the operation from the second of two keys.
        alone = {name: run(jax.random.split(batch_key)[1], images) for name, run in JITTED.items()}
        [found] = [name for name, expected in alone.items() if np.allclose(out, expected, atol=1e-6)]
        seen[found] += 1
    assert min(seen.values()) >= draws / 6 / 5


JITTED = {name: jax.jit(operation) for name, operation in augment.OPERATIONS.items()}


def test_none_is_the_identity_and_an_unknown_operation_is_named(images, key):
    np.testing.assert_array_equal(augment.make_strategy("none")(key, images), images)
    with pytest.raises(GiftError, match="'colour' is unknown"):
        augment.make_strategy("colour_flip")


def test_mosaic_share_of_whole_images_is_one_over_factor_squared(key):
    images = jnp.broadcast_to(jnp.arange(16.0).reshape(1, 4, 4, 1), (4000, 4, 4, 1))
    out = np.asarray(random_mosaic_crop(key, images, 2))
    whole = (out == np.asarray(images)).all(axis=(1, 2, 3)).mean()
    assert abs(whole - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    np.testing.assert_array_equal(random_mosaic_crop(key, images, 1), images)


def test_mixup_blends_with_the_partner():
    images = jnp.arange(3.0).reshape(3, 1, 1, 1)
    out = augment.mixup(images, jnp.array([1, 2, 0]), jnp.float32(0.75))
    np.testing.assert_allclose(out.ravel(), [0.25, 1.25, 1.5])


def test_cutmix_pastes_a_box_and_tells_the_share_kept():
    images = jnp.broadcast_to(jnp.arange(2.0).reshape(2, 1, 1, 1), (2, 8, 8, 1))
    out, kept = augment.cutmix(images, jnp.array([1, 0]), jnp.float32(0.75), jnp.int32(4), jnp.int32(0))
    assert np.asarray(out[0]).sum() == 4 * 2  # half the 4x4 box lies outside
    np.testing.assert_allclose(kept, 1 - 8 / 64)
    np.testing.assert_allclose(np.asarray(out[0, :, :, 0]).mean(), 1 - kept)


@pytest.mark.parametrize("name", augment.MIXINGS)
def test_mixing_returns_partners_and_a_share(name, images, key):
    mixed, partners, kept = jax.jit(augment.MIXINGS[name])(key, images)
    assert sorted(np.asarray(partners)) == list(range(6))
    assert 0 <= float(kept) <= 1
    if name == "mixup":
        np.testing.assert_allclose(mixed, kept * images + (1 - kept) * images[partners], atol=1e-6)


def test_a_share_of_the_batches_is_mixed(images):
    """The others are as they were, and keep all of themselves."""
    always, half = (jax.jit(augment.make_mixing("cutmix", share)) for share in (1, 0.5))
    mixed = 0
    for seed in range(24):
        key = jax.random.key(seed)
        found, partners, kept = half(key, images)
        whole = bool((found == images).all()) and float(kept) == 1
        expected = (images, always(key, images)[1], 1.0) if whole else always(key, images)
        jax.tree.map(np.testing.assert_array_equal, (found, partners, kept), expected)
        mixed += not whole
    assert 4 < mixed < 20
    assert augment.make_mixing("none", 0.5) is no_mix
