"""Structure and initial distribution of the ConvNet, and folding."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import short_form
from torch_names import to_variables

from gift_jax.data.datasets import get_dataset
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec, create, fold, get_model
from gift_jax.models.layers import dropout, stochastic_depth
from gift_jax.models.pooling import avg_pool

# Golden: parameter counts of the official ConvNets, read off PyTorch.
COUNTS = [
    ("conv3", "cifar10", 320_010),
    ("conv3", "cifar100", 504_420),
    ("conv4", "tinyimagenet", 857_160),
    ("conv4", "imagenet-1k", 2_496_360),
    ("conv5", "imagenet-nette", 615_690),
    ("conv6", "imagenet-100", 794_340),
]


@pytest.mark.parametrize(("name", "dataset", "expected"), COUNTS)
def test_parameter_counts_are_pytorchs(name, dataset, expected):
    spec = get_dataset(dataset)
    model = get_model(ModelSpec(name, spec.num_classes, spec.input_size(name)))
    assert sum(leaf.size for leaf in jax.tree.leaves(model.abstract()[0])) == expected


@pytest.mark.parametrize(("depth", "channels", "size", "features"), [(3, 1, 28, 4), (2, 1, 8, 2), (2, 3, 28, 7)])
def test_grey_28_pixel_images_are_padded_to_32(depth, channels, size, features):
    model = get_model(ModelSpec(f"conv{depth}", 10, size, channels, (("width", 4),)))
    params, stats = model.abstract()
    assert params["classifier"]["kernel"].shape[0] == 4 * features**2
    images = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
    assert jax.eval_shape(model.apply, params, stats, images)[0].shape == (1, 10)


def test_initial_distribution_is_pytorchs():
    """Conv2d and Linear draw uniformly in +-1/sqrt(fan_in): mean 0, standard deviation bound / sqrt(3)."""
    model = get_model(ModelSpec("conv3", 100, 32))
    for seed in range(3):
        params, stats = model.init(jax.random.key(seed))
        for arrays in (*(block["conv"] for block in params["blocks"].values()), params["classifier"]):
            fan_in = arrays["kernel"][..., 0].size
            for array in arrays.values():
                bound, values = fan_in**-0.5, np.asarray(array, np.float64)
                assert np.abs(values).max() <= bound
                assert np.abs(values).max() > bound * (1 - 10 / values.size)
                assert abs(values.mean()) < 5 * bound / np.sqrt(3 * values.size)
                assert abs(values.std() / (bound / np.sqrt(3)) - 1) < 5 / np.sqrt(values.size)
        norms = [(params, "scale", 1), (params, "bias", 0), (stats, "mean", 0), (stats, "var", 1)]
        for variables, name, value in norms:
            for block in variables["blocks"].values():
                np.testing.assert_array_equal(block["norm"][name], value)


def test_folding_keeps_the_logits_and_removes_the_statistics(golden, key):
    file = np.load(golden / "trajectory_batchnorm.npz")
    state = {name.removeprefix("teacher/"): file[name] for name in file.files if name.startswith("teacher/")}
    params, batch_stats = to_variables(state)
    model = get_model(ModelSpec("conv3", 10, 16, 3, (("width", 16),)))
    folded, folded_params = fold(model, params, batch_stats)
    images = jnp.asarray(file["images_nchw"].transpose(0, 2, 3, 1))
    logits, stats = folded.apply(folded_params, {}, images)
    assert stats == {}
    scale = np.abs(file["teacher_logits"]).max()
    np.testing.assert_allclose(logits, file["teacher_logits"], atol=1e-5 * scale)
    np.testing.assert_allclose(model.apply(params, batch_stats, images)[0], file["teacher_logits"], atol=1e-5 * scale)


def test_apply_and_fold_leave_the_callers_arrays_alone(key):
    model = get_model(ModelSpec("conv2", 4, 8, 3, (("width", 4),)))
    variables = jax.tree.map(np.array, model.init(key))
    before = jax.tree.map(np.copy, variables)
    model.apply(*variables, jax.random.normal(key, (2, 8, 8, 3)), train=True)
    fold(model, *variables)
    jax.tree.map(np.testing.assert_array_equal, variables, before)


def test_average_pooling_drops_the_remainder():
    x = jnp.arange(25.0).reshape(1, 5, 5, 1)
    np.testing.assert_allclose(avg_pool(x, 2)[0, :, :, 0], [[3, 5], [13, 15]])


def test_equal_specs_share_one_model():
    one, other = (get_model(ModelSpec("conv2", 4, 8, 3, (("width", 4),))) for _ in range(2))
    assert one is other
    assert isinstance(hash(one), int)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet5", {}, "'resnet5' is unknown"),
        ("conv3", {"norm": "batsh"}, "norm 'batsh' is unknown"),
        ("conv3", {"widht": 3}, "'widht' is none of its options, which are width, norm"),
        ("resnet18", {"width": 3}, "'width' is none of its options, which are small_images"),
        ("vgg11", {"depth": 3}, "'depth' is none of its options, which are none"),
        ("conv3", {"width": 0}, "does not take these options .*width must be a whole number from 1"),
        ("resnet_ap10", {"width": 2.5}, "width must be a whole number from 1"),
        ("resnet18", {"small_images": 7}, "small_images must be 0 or 1"),
        ("conv6", {}, "at least 64 pixels, not 32"),
    ],
)
def test_bad_architectures_are_named(name, options, message):
    with pytest.raises(GiftError, match=message):
        create(name, num_classes=10, image_size=32, **options)


@pytest.mark.parametrize(("drop", "shape"), [(dropout, (400, 5, 5, 10)), (stochastic_depth, (4000, 2, 2, 3))])
def test_dropped_values_are_zero_and_the_others_keep_the_mean(drop, shape, key):
    x = jnp.ones(shape)
    assert drop(x, 0.2, None, 0) is x
    dropped = drop(x, 0.2, key, 0)
    assert set(np.unique(dropped)) == {0.0, 1.25}
    # Dropped places are a binomial's: six standard deviations. Stochastic depth drops whole images.
    draws = x.size if drop is dropout else len(x)
    assert abs(float(jnp.mean(dropped)) - 1) < 6 * 0.5 / draws**0.5
    assert (np.ptp(dropped.reshape(len(x), -1), axis=1) == 0).all() == (drop is stochastic_depth)
    assert (drop(x, 0.2, key, 0) == dropped).all()
    assert not (drop(x, 0.2, key, 1) == dropped).all()


@pytest.mark.parametrize("name", short_form(["alexnet", "efficientnet_b0", "swin_v2_t"], ["alexnet"]))
def test_a_key_makes_training_random_and_inference_is_not(name, key):
    """Networks with dropout or stochastic depth: two keys give two outputs, one key the same one."""
    model = get_model(ModelSpec(name, 4, 64))
    draw = np.random.default_rng(0)
    shapes = model.abstract()
    params, stats = jax.tree.map(lambda leaf: draw.uniform(0.0, 0.1, leaf.shape).astype(np.float32), shapes)
    apply = jax.jit(functools.partial(model.apply, train=True))
    images = jax.random.normal(key, (2, 64, 64, 3))
    one, same, other = (apply(params, stats, images, key=jax.random.key(seed))[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)
