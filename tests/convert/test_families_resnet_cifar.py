"""The ResNets for CIFAR against the paper's definition, stated again here, with both kinds of shortcut; real files."""

from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from forms import short_form
from modules import images_of, nhwc, scaled
from torch.nn import functional

from convert.families import find_family
from convert.request import TeacherRequest
from convert.teacher import convert_teacher
from gift_jax.data.datasets import CIFAR_NORMALISATION, IMAGENET_NORMALISATION
from gift_jax.data.evaluation import load_evaluation
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec, get_model
from gift_jax.teachers.diagnose import count_first_layer, told_normalisation
from gift_jax.teachers.teacher import load_weights

FAMILY = find_family("resnet20")
REAL = Path(__file__).parents[3] / "shared" / "real"


def spec(depth=20, size=16, **options):
    return ModelSpec(f"resnet{depth}", 10, size, 3, tuple(sorted(options.items())))


def as_in_the_paper(state, images, *, train=False):
    """Section 4.2 as a function of the weights; an option-A shortcut is every second pixel and channels of zeros."""

    def layer(x, conv, norm, stride=1):
        weight = state[f"{conv}.weight"]
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)
        statistics = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return functional.batch_norm(x, *statistics, state[f"{norm}.weight"], state[f"{norm}.bias"], training=train)

    x = torch.relu(layer(images, "conv1", "bn1"))
    for stage in (1, 2, 3):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in state:
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            branch = torch.relu(layer(x, f"{name}.conv1", f"{name}.bn1", stride))
            branch = layer(branch, f"{name}.conv2", f"{name}.bn2")
            if f"{name}.shortcut.0.weight" in state:
                x = layer(x, f"{name}.shortcut.0", f"{name}.shortcut.1", stride)
            elif stride == 2:
                every = x[:, :, ::2, ::2]
                zeros = torch.zeros_like(every)[:, : every.shape[1] // 2]
                x = torch.cat([zeros, every, zeros], dim=1)
            x = torch.relu(x + branch)
            block += 1
    return functional.linear(x.mean((2, 3)), state["linear.weight"], state["linear.bias"])


@pytest.mark.parametrize(
    ("shortcut", "size", "rename"),
    [
        ("padded", 17, {}),  # odd sides: 9, 5
        ("projected", 16, {}),
        pytest.param("projected", 17, {"shortcut": "downsample", "linear": "fc"}, marks=pytest.mark.exhaustive),
    ],
)
def test_logits_and_statistics_are_the_papers(shortcut, size, rename, read):
    """A training step is compared with the module's in `test_families.py`."""
    module = scaled(FAMILY.reference(spec(size=size, shortcut=shortcut)))
    state = module.state_dict()
    for old, new in rename.items():
        state = {name.replace(old, new): tensor for name, tensor in state.items()}
    saved = {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
    found, params, stats, official, *_ = read(saved, spec(size=size))
    assert dict(found.options) == ({} if shortcut == "padded" else {"shortcut": shortcut})
    official, images = {name: tensor.clone() for name, tensor in official.items()}, images_of(found, 2)
    with torch.inference_mode():
        expected = as_in_the_paper(official, images)
        torch.testing.assert_close(module(images), expected)
        torch.testing.assert_close(module.train()(images), as_in_the_paper(official, images, train=True))
    logits = jax.jit(get_model(found).apply)(params, stats, nhwc(images))[0]
    np.testing.assert_allclose(logits, expected, atol=1e-4 * float(expected.abs().max()))
    for name, tensor in module.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(tensor, official[name])


def test_an_unknown_shortcut_is_refused():
    with pytest.raises(GiftError, match="shortcut 'none' is unknown; choose one of padded, projected"):
        get_model(spec(shortcut="none"))


at_hand = pytest.mark.skipif(not (REAL / "resnet20-12fca82f.th").is_file(), reason="the real files are not at hand")


@at_hand
@pytest.mark.parametrize("name", short_form(["resnet20-12fca82f.th", "resnet56-4bfd9763.th"], ["resnet20-12fca82f.th"]))
def test_a_published_file_is_converted_and_exported_bit_for_bit(name, done, tmp_path):
    depth = name.partition("-")[0]
    out = done("teacher", REAL / name, "--dataset", "cifar10", "--model", depth, "--out", tmp_path / "t")
    assert "top-1 agreement 100 %" in out
    done("export", tmp_path / "t", "--out", tmp_path / "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)["model"]
    source = torch.load(REAL / name, weights_only=True, map_location="cpu")["state_dict"]
    weights = {key.removeprefix("module."): tensor for key, tensor in source.items() if "num_batches" not in key}
    assert all(torch.equal(back[key], tensor) for key, tensor in weights.items())
    assert {key for key in back if "num_batches" not in key} == weights.keys()
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    module = FAMILY.reference(ModelSpec(depth, 10, 32)).eval()
    module.load_state_dict(back)
    torch.testing.assert_close(module(images), as_in_the_paper(weights, images), rtol=0, atol=1e-4)


@at_hand
@pytest.mark.exhaustive
def test_a_published_file_tells_imagenets_statistics_though_accuracy_does_not(tmp_path):
    """With CIFAR's, ResNet-56 scores 83.32 % on this copy of the test images, with ImageNet's, its own, 83.20 %."""
    info = convert_teacher(TeacherRequest(REAL / "resnet56-4bfd9763.th", tmp_path / "t", "cifar10", "resnet56"))
    assert info.normalisation == CIFAR_NORMALISATION
    images = load_evaluation(
        "cifar10", image_size=32, source=str(REAL.parent / "cifar10" / "cifar10-jpeg.tar.xz")
    ).images
    _, *variables = load_weights(tmp_path / "t")
    counted = count_first_layer(get_model(info.spec), *variables, images, info.normalisation)
    told = told_normalisation(counted)
    assert told is not None
    assert told.normalisation == IMAGENET_NORMALISATION
    assert told.distance < 0.001
    assert counted[0].distance > 0.01
