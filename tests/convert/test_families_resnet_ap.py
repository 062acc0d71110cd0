"""ResNetAP-10 against the authors' definition, stated again here, at the sizes that its three stems are for."""

import jax
import numpy as np
import pytest
import torch
from modules import images_of, nhwc
from torch.nn import functional

from convert.families import find_family
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec, get_model


def spec(size, **options):
    return ModelSpec("resnet_ap10", 5, size, 3, tuple(sorted(options.items())))


def as_published(state, images):
    """Their `ResNetAP.forward` of depth 10 as a function of its weights; poolings are where theirs are."""

    def convolved(x, name):
        weight = state[f"{name}.weight"]
        return functional.conv2d(x, weight, padding=weight.shape[2] // 2)

    def normed(x, name):
        scale, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        if f"{name}.running_mean" not in state:
            return functional.group_norm(x, len(scale), scale, bias)
        return functional.batch_norm(x, state[f"{name}.running_mean"], state[f"{name}.running_var"], scale, bias)

    x = torch.relu(normed(convolved(images, "layer0.conv1"), "layer0.bn1"))
    side = images.shape[-1]
    x = functional.avg_pool2d(x, 4) if side > 128 else functional.avg_pool2d(x, 2) if side > 64 else x
    for stage in (1, 2, 3, 4):
        name, stride = f"layer{stage}.0", 1 if stage == 1 else 2
        branch = torch.relu(normed(convolved(x, f"{name}.conv1"), f"{name}.bn1"))
        branch = normed(convolved(functional.avg_pool2d(branch, stride), f"{name}.conv2"), f"{name}.bn2")
        if stage > 1:
            x = normed(functional.avg_pool2d(convolved(x, f"{name}.downsample.0"), stride), f"{name}.downsample.2")
        x = torch.relu(branch + x)
    pooled = functional.avg_pool2d(x, x.shape[-1]).flatten(1)
    return functional.linear(pooled, state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize(
    ("size", "options"),
    [
        pytest.param(37, {"width": 4, "norm": "batch"}, id="small", marks=pytest.mark.exhaustive),
        pytest.param(90, {"width": 4}, id="middle", marks=pytest.mark.exhaustive),
        pytest.param(139, {"width": 4}, id="large"),
    ],
)
def test_logits_are_the_authors(size, options, read):
    torch.manual_seed(0)
    module = find_family("resnet_ap10").reference(spec(size, **options))
    state = {
        name: tensor.uniform_(0.5, 1.5) if tensor.ndim == 1 and tensor.is_floating_point() else tensor
        for name, tensor in module.state_dict().items()
    }
    found, params, stats, *_ = read({"state_dict": state}, spec(size))
    assert dict(found.options) == options
    images = images_of(found, 2)
    expected = as_published(state, images).numpy()
    logits = jax.jit(get_model(found).apply)(params, stats, nhwc(images))[0]
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(module.eval()(images).detach(), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("size", "asked", "message"),
    [
        (200, spec(32), "first convolution is 7 pixels wide, but 32 pixels take 3; check --image-size"),
        (32, spec(32, norm="batch"), "BatchNorm's running statistics are missing"),
    ],
)
def test_what_does_not_fit_is_refused(size, asked, message, read):
    module = find_family("resnet_ap10").reference(spec(size, width=4))
    with pytest.raises(GiftError, match=message):
        read(module.state_dict(), asked)


@pytest.mark.parametrize(("size", "norm", "message"), [(4, "instance", "at least 8 pixels"), (32, "group", "unknown")])
def test_a_network_that_cannot_be_is_refused(size, norm, message):
    with pytest.raises(GiftError, match=message):
        get_model(spec(size, norm=norm))
