"""RandAugment against live Pillow, through torchvision's and timm's own functions."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import short_form
from PIL import Image
from setups import INFO, distilled_set, random_teacher

from gift_jax import GiftError, task
from gift_jax.data.datasets import DIGITS_NORMALISATION
from gift_jax.data.network_input import to_input
from gift_jax.models import get_model
from gift_jax.pixels import rand_augment as ra
from gift_jax.recipes import Setting, make_recipe
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task
from gift_jax.training.batch import make_drawing
from gift_jax.training.program import make_data

pytest.importorskip("torch")
from timm_teachers import load_timm

TIMM_NAMES = {
    "AutoContrast": ra.AUTOCONTRAST, "Equalize": ra.EQUALIZE, "Invert": ra.INVERT, "Rotate": ra.ROTATE,
    "Posterize": ra.POSTERIZE, "Solarize": ra.SOLARIZE, "SolarizeAdd": ra.SOLARIZE_ADD, "Color": ra.COLOR,
    "Contrast": ra.CONTRAST, "Brightness": ra.BRIGHTNESS, "Sharpness": ra.SHARPNESS, "ShearX": ra.SHEAR_X,
    "ShearY": ra.SHEAR_Y, "TranslateXRel": ra.TRANSLATE_X, "TranslateYRel": ra.TRANSLATE_Y,
}  # fmt: skip


def draw_images(count, side, channels, seed=0):
    """Noise over slopes, with few levels in some images, so that histograms and edges matter."""
    generator = np.random.default_rng(seed)
    slope = np.linspace(0, 200, side)[None, :, None, None] * generator.random((count, 1, 1, channels))
    noise = generator.integers(0, 56, (count, side, side, channels)) * generator.integers(0, 2, (count, 1, 1, 1))
    return (slope + noise + generator.integers(0, 20, (count, 1, 1, 1))).clip(0, 255).astype(np.uint8)


def pillow(image):
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def pixels(image):
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def by_torchvision(image, magnitude, number):
    """One of the 28 operations: of its name, with the magnitude or its negative."""
    load_timm()
    from torchvision.transforms import InterpolationMode, RandAugment, autoaugment

    space = RandAugment()._augmentation_space(ra.BINS, image.shape[:2])
    name, negative = [*space][number // 2], number % 2
    magnitudes, signed = space[name]
    value = float(magnitudes[magnitude]) if magnitudes.ndim else 0.0
    value = -value if signed and negative else value
    return pixels(autoaugment._apply_op(pillow(image), name, value, InterpolationMode.NEAREST, None))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("side", "magnitude"), [(32, 9), (57, 14), pytest.param(224, 9, marks=pytest.mark.exhaustive)])
def test_each_operation_equals_torchvisions(side, channels, magnitude):
    """To the pixel, but for stretched contrast, which Pillow rounds below a whole level here and there."""
    kinds, amounts = ra.torchvision_operations(magnitude, side)
    images = draw_images(len(kinds), side, channels)
    wanted = np.stack([by_torchvision(image, magnitude, number) for number, image in enumerate(images)])
    places = jnp.asarray(ra.fixed(ra.matrices_of(kinds, amounts, side, np)))
    given = jnp.asarray(images)
    found = ra.operate(given, jnp.asarray(kinds), jnp.asarray(amounts, jnp.float32), ra.move(given, places))
    difference = np.abs(np.asarray(found).astype(int) - wanted)
    assert set(kinds[difference.max(axis=(1, 2, 3)) > 0]) <= {ra.AUTOCONTRAST}
    assert difference.max() <= 1


def test_a_layer_shows_each_image_one_operation_of_torchvisions():
    """512 draws of one image: each is one of the 28 results, and all of them come, of equal shares."""
    [image] = draw_images(1, 24, 3, seed=2)
    results = np.stack([by_torchvision(image, 9, number) for number in range(28)]).astype(int)
    images = jnp.broadcast_to(jnp.asarray(image)[None], (512, *image.shape))
    drawn = np.asarray(ra.make_rand_augment("torchvision-rand-m9-n1")(jax.random.key(3), images)).astype(int)
    distance = np.abs(drawn[:, None] - results[None]).max(axis=(2, 3, 4))
    assert distance.min(axis=1).max() <= 1
    same = results.reshape(28, -1)
    names = np.array([next(j for j in range(28) if np.abs(same[j] - same[k]).max() <= 1) for k in range(28)])
    counts = np.bincount(names[distance.argmin(axis=1)], minlength=28)
    expected = 512 / 28 * np.bincount(names, minlength=28)
    assert (counts[expected > 0] > 0).all()
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())


LEVELS = np.repeat(np.array([0.0, 2.3, 5.0, 7.77, 10.0], np.float32), 2)
SIGNS = np.tile(np.array([1.0, -1.0], np.float32), 5)
RANGES = {"Rotate": 30, "ShearX": 0.3, "ShearY": 0.3, "TranslateXRel": 0.45, "TranslateYRel": 0.45}
SIDE = 45


def by_timm(name, images, arguments, **options):
    load_timm()
    from timm.data.auto_augment import NAME_TO_OP

    pairs = zip(images, arguments, strict=True)
    return np.stack([pixels(NAME_TO_OP[name](pillow(image), *one, **options)) for image, one in pairs]).astype(int)


def drawn_by_timm(name, channels):
    """Images, and kind and amount of each."""
    kind = jnp.full(len(LEVELS), TIMM_NAMES[name], jnp.int32)
    amount = ra.timm_amounts(jnp.asarray(LEVELS), jnp.asarray(SIGNS), SIDE)[:, TIMM_NAMES[name]]
    return draw_images(len(LEVELS), SIDE, channels, seed=1), kind, amount


@pytest.mark.parametrize("channels", short_form([1, 3], [3]))
@pytest.mark.parametrize("cubic", [False, True])
@pytest.mark.parametrize("name", RANGES)
def test_images_move_as_timms(name, cubic, channels):
    """Within a level, but for a pixel in a thousand, which may be inside of the image in one alone."""
    images, kind, amount = drawn_by_timm(name, channels)
    fill = ra.TIMM_FILL if channels == 3 else (128,)
    matrices = ra.matrices_of(kind, amount, SIDE, jnp)
    options = (jnp.full(len(LEVELS), cubic), jnp.asarray(fill, jnp.uint8))
    found = ra.move_smoothly(jnp.asarray(images), matrices, *options)
    arguments = [(level / 10 * RANGES[name] * sign,) for level, sign in zip(LEVELS.astype(float), SIGNS, strict=True)]
    resample = Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR
    wanted = by_timm(name, images, arguments, resample=resample, fillcolor=fill if channels == 3 else fill[0])
    difference = np.abs(np.asarray(found) - wanted)
    assert (difference > 1).mean() <= 1e-3
    assert (difference > 0).mean() <= 2e-2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [name for name in TIMM_NAMES if name not in RANGES])
def test_levels_change_as_timms(name, channels):
    """To the pixel, but for stretched contrast. Pillow 13 refuses to keep 0 bits; older versions made that black."""
    load_timm()
    from timm.data.auto_augment import LEVEL_TO_ARG

    images, kind, amount = drawn_by_timm(name, channels)
    function = LEVEL_TO_ARG[name]
    arguments = [function(float(level), {}) if function else () for level in LEVELS]
    arguments = [one if isinstance(one, tuple) else (one,) for one in arguments]
    refused = np.array([name == "Posterize" and one == (0,) for one in arguments])
    wanted = by_timm(name, images, [(8,) if black else one for one, black in zip(arguments, refused, strict=True)])
    wanted[refused] = 0
    change = ra.blend if ra.BRIGHTNESS <= TIMM_NAMES[name] < ra.POSTERIZE else ra.look_up
    difference = np.abs(np.asarray(change(jnp.asarray(images), kind, amount)) - wanted)
    assert difference.max() <= (name == "AutoContrast")


def test_timms_layers_change_about_half_of_the_images_each():
    images = jnp.asarray(draw_images(400, 16, 3, seed=4))
    made = [ra.make_rand_augment(f"rand-m6-n{layers}-mstd1.0")(jax.random.key(5), images) for layers in (1, 2)]
    changed = [np.asarray(one != images).any(axis=(1, 2, 3)).mean() for one in made]
    assert 0.40 < changed[0] < 0.55
    assert 0.60 < changed[1] < 0.80


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rand-m11-n2", "m is at most 10"),
        ("torchvision-rand-m31-n2", "m is at most 30"),
        ("torchvision-rand-m9-n2-mstd0.5", "write rand-m6-n2"),
        ("rand-m9-n0", "write rand-m6-n2"),
        ("rand-n2-m9", "write rand-m6-n2"),
    ],
)
def test_other_texts_are_refused(text, hint):
    with pytest.raises(GiftError, match=hint):
        ra.make_rand_augment(text)


def test_a_step_sees_pixels_from_before_normalisation(key):
    """The batch is RandAugment's of the very bytes, then normalised, and flipped where the strategy says so."""
    distilled, recipe = distilled_set(), Recipe(loss="ce", augment="torchvision-rand-m9-n2", batch_size=5)
    program = Task(recipe, get_model(INFO.spec), distilled, random_teacher()).program
    keys, rows = jax.random.split(key, 3), jnp.arange(5)
    batch = make_drawing(program)(make_data(distilled, None), rows, keys)
    rand_augment, rand_key = ra.make_rand_augment("torchvision-rand-m9-n2"), jax.random.fold_in(keys[0], 3)
    changed = rand_augment(rand_key, jnp.asarray(distilled.images[:5]))
    np.testing.assert_array_equal(batch.images, to_input(changed, "raw", DIGITS_NORMALISATION))


@pytest.mark.parametrize(("shape", "refused"), [((8, 8, 3), ""), ((8, 8, 4), "of 4 channels")])
def test_pixels_are_grey_or_of_three_colours(shape, refused):
    images = SimpleNamespace(image_shape=shape, pixel_space="raw", images=np.zeros((1, *shape), np.uint8))
    assert task._not_bytes(images) == refused


def test_images_are_not_mirrored_where_the_dataset_is_not():
    recipes = [make_recipe("delt", Setting("delt", dataset, "resnet18", 10, 1.0)) for dataset in ("cifar10", "svhn")]
    assert [one.augment for one in recipes] == ["rand-m6-n2-mstd1.0+flip", "rand-m6-n2-mstd1.0+none"]
