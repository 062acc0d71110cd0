"""IDC's colours against its own steps, an image at a time in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
from setups import distilled_set

from gift_jax.data.datasets import get_dataset
from gift_jax.models import ModelSpec, get_model
from gift_jax.pixels import colors
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task
from gift_jax.training.batch import make_recoloring

IMAGES = np.random.default_rng(0).uniform(size=(4, 6, 5, 3)).astype("f")


def grey(image):
    return image @ np.array([0.299, 0.587, 0.114], "f")


def moved(image, kind, share):
    """`img.lerp(gs, alpha)` of their Brightness, Contrast and Saturation."""
    others = {
        "brightness": np.zeros_like(image),
        "contrast": np.full_like(image, grey(image).mean()),
        "saturation": np.repeat(grey(image)[..., None], 3, -1),
    }
    return image + share * (others[kind] - image)


def test_jitter_moves_each_image_in_its_own_order():
    kinds = ("brightness", "contrast", "saturation")
    order = np.array([[0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]])
    shares = np.random.default_rng(1).uniform(-0.4, 0.4, (4, 3)).astype("f")
    found = colors.jitter(jnp.asarray(IMAGES), jnp.asarray(order), jnp.asarray(shares))
    for image, places, amounts, one in zip(IMAGES, order, shares, found, strict=True):
        for place, share in zip(places, amounts, strict=True):
            image = moved(image, kinds[place], share)
        np.testing.assert_allclose(one, image, atol=1e-5)


def test_lighting_adds_a_colour_to_every_pixel():
    weights = np.random.default_rng(2).normal(size=(4, 3)).astype("f")
    found = colors.lighting(jnp.asarray(IMAGES), jnp.asarray(weights))
    vectors, values = (np.array(table) for table in (colors.EIGENVECTORS, colors.EIGENVALUES))
    for image, weight, one in zip(IMAGES, weights, found, strict=True):
        np.testing.assert_allclose(one, image + (vectors * (weight * values)).sum(1), atol=1e-6)


def test_draws_are_an_image_and_within_their_strength(key):
    images = jnp.full((64, 2, 2, 3), 0.5)
    dark = colors.random_colors(key, images, 0.4, 0.0)
    assert 0.3 <= float(dark.min()) < 0.32
    assert 0.68 < float(dark.max()) <= 0.7  # grey images know brightness alone
    lit = np.asarray(colors.random_colors(key, images, 0.0, 0.1) - images)
    assert len(np.unique(lit[:, 0, 0, 0])) == 64
    scale = 0.1 * np.linalg.norm(np.multiply(colors.EIGENVECTORS[0], colors.EIGENVALUES))
    assert 0.7 < lit[:, 0, 0, 0].std() / scale < 1.4
    np.testing.assert_array_equal(colors.random_colors(key, images, 0.0, 0.0), images)


def test_a_jittered_step_sees_pixels_from_before_normalisation(key):
    """The draws are those of the raw pixels, and what comes out is normalised as the rest is."""
    images = np.random.default_rng(3).integers(0, 256, (10, 8, 8, 3), np.uint8)
    coloured = distilled_set(10, images=images, dataset="cifar10", ipc=1)
    recipe = Recipe(loss="ce", jitter=0.4, lighting=0.1)
    program = Task(recipe, get_model(ModelSpec("conv1", 10, 8, 3, (("width", 2),))), coloured, None).program
    normalisation = get_dataset("cifar10").normalisation
    mean, std = (jnp.asarray(values)[None, None, None] for values in (normalisation.mean, normalisation.std))
    raw = jnp.asarray(images, jnp.float32) / 255
    found = make_recoloring(program)(key, (raw - mean) / std)
    expected = colors.random_colors(jax.random.fold_in(key, 1), raw, 0.4, 0.1)
    np.testing.assert_allclose(found * std + mean, expected, atol=1e-5)
