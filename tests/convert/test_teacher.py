"""Conversion of ConvNets against live PyTorch and the golden teacher, through the command line's code."""

import argparse
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from modules import NORMS, dc_module, dc_names, official, spec

import gift_jax
from convert.checkpoint import read_checkpoint
from convert.families import find_family
from convert.teacher import make_reference
from gift_jax.models import get_model
from gift_jax.teachers.teacher import load_weights

UNTOLD = ("instance", "group")  # norms that hold the same arrays
CIFAR = ("--dataset", "cifar10", "--model", "conv3")


def test_golden_teacher_gives_pytorchs_logits_and_tells_what_was_converted(golden, convert, tmp_path):
    status, out, _ = convert("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out", tmp_path / "teacher")
    assert (status, "top-1 agreement 100 %" in out) == (0, True)
    expected = np.load(golden / "cifar10_conv3_expected.npz")
    logits = gift_jax.load_teacher(tmp_path / "teacher").logits(expected["images_nchw"].transpose(0, 2, 3, 1))
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4, rtol=0)
    info = json.loads((tmp_path / "teacher" / "teacher.json").read_text())
    told = {"architecture": "conv3", "dataset": "cifar10", "num_classes": 10, "image_size": 32}
    told |= {"source_file": "cifar10_conv3.pth"}
    assert info | told == info
    digest = subprocess.run(["sha256sum", golden / "cifar10_conv3.pth"], capture_output=True, text=True, check=True)
    assert info["source_sha256"] == digest.stdout.split()[0]
    assert info["verification"]["images"] == 16
    assert 0 < info["verification"]["max_relative"] < 1e-5
    assert {"jax", "torch", "flax"} <= info["versions"].keys()


def test_the_command_itself_in_a_process_of_its_own(golden, tmp_path):
    source = golden / "cifar10_conv3.pth"
    command = [sys.executable, "-m", "convert", "teacher", source, *CIFAR, "--out", tmp_path / "t"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert (tmp_path / "t" / "teacher.json").is_file()


def images_of(model_spec, count=4):
    shape = (count, model_spec.channels, model_spec.image_size, model_spec.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def read(path, state, asked=None, **saving):
    """What is read of a state dict that was saved at a path: spec, params, batch_stats and state."""
    torch.save(state, path, **saving)
    return read_checkpoint(path, asked or spec(width=128), find_family("conv2"))[:4]


def nhwc(images):
    return jnp.asarray(images.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("layout", ["official", "dc"])
@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_and_layout_equals_pytorch(norm, layout, tmp_path):
    model_spec = spec(norm)
    module = official(model_spec)
    state = module.state_dict() if layout == "official" else dc_names(model_spec, module.state_dict())
    found, params, stats, _ = read(tmp_path / "w.pth", state, spec(norm if norm in UNTOLD else "batch", width=128))
    assert found == model_spec
    images = images_of(model_spec)
    logits, _ = get_model(found).apply(params, stats, nhwc(images))
    expected = module(images).detach().numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("norm", NORMS)
def test_the_tests_dc_names_are_dcs(norm):
    model_spec = spec(norm)
    assert dc_module(model_spec).state_dict().keys() == dc_names(model_spec, official(model_spec).state_dict()).keys()


@pytest.mark.parametrize("norm", NORMS)
def test_block_by_block_and_one_training_step_equal_pytorch(norm, tmp_path):
    model_spec = spec(norm)
    module = official(model_spec)
    asked = spec(norm if norm in UNTOLD else "batch", width=128)
    found, params, stats, _ = read(tmp_path / "w.pth", module.state_dict(), asked)
    model, images = get_model(found), images_of(model_spec)
    ours = nhwc(images)
    for block, expected in zip(model.merge(params, stats).blocks, module.blocks(images), strict=True):
        halves = (size for side in expected.shape[2:] for size in (side, 2))
        ours = jax.nn.relu(block(ours, train=False)).reshape(4, *halves, -1).mean(axis=(2, 4))
        theirs = expected.detach().permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    loss = torch.nn.functional.cross_entropy(module.train()(images), torch.arange(4))
    loss.backward()

    def ours_loss(params):
        logits, new = model.apply(params, stats, nhwc(images), train=True)
        return -jax.nn.log_softmax(logits)[jnp.arange(4), jnp.arange(4)].mean(), new

    (value, new), gradients = jax.value_and_grad(ours_loss, has_aux=True)(params)
    np.testing.assert_allclose(value, loss.detach().numpy(), rtol=1e-5)
    # PyTorch's gradients in this library's layout: converted as if they were weights.
    state = {name: torch.ones_like(tensor) for name, tensor in module.state_dict().items()}
    state |= {name: parameter.grad for name, parameter in module.named_parameters()}
    theirs = read(tmp_path / "g.pth", state, found)[1]
    # A bias in front of a norm has no gradient but rounding, so the bound is absolute, by the largest gradient.
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(theirs))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-4 * largest), gradients, theirs)
    updated = read(tmp_path / "u.pth", module.state_dict(), found)[2]
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6), new, updated)


WRAPPINGS = {
    "bare": lambda state: state,
    "model": lambda state: {"model": state, "epoch": 3, "args": argparse.Namespace(lr=0.1)},
    "state_dict": lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    "compiled": lambda state: {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()},
}


@pytest.mark.parametrize("wrapping", [*WRAPPINGS, "legacy", "safetensors"])
def test_every_file_structure_gives_the_same_weights(wrapping, tmp_path):
    state, path = official(spec()).state_dict(), tmp_path / "weights.pth"
    if wrapping == "safetensors":  # the name lies about the kind of file, which is read off its content
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
        _, params, _, found = read_checkpoint(path, spec(width=128), find_family("conv2"))[:4]
    else:
        content = WRAPPINGS.get(wrapping, dict)(state)
        _, params, _, found = read(path, content, _use_new_zipfile_serialization=wrapping != "legacy")
    assert found.keys() == state.keys()
    kernel = state["layers.conv.0.weight"].permute(2, 3, 1, 0).numpy()
    np.testing.assert_array_equal(params["blocks"][0]["conv"]["kernel"], kernel)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype, tmp_path):
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in official(spec()).state_dict().items()}
    assert {leaf.dtype for leaf in jax.tree.leaves(read(tmp_path / "w.pth", state)[1])} == {np.dtype(np.float32)}


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_export_gives_the_same_bits_back(suffix, full_disk, golden, convert, done, tmp_path):
    exported = tmp_path / f"back.{suffix}"
    convert("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out", tmp_path / "t")
    with full_disk(1000):
        status, _, err = convert("export", tmp_path / "t", "--out", exported)
    assert (status, len(err.splitlines()), f"back.{suffix}: " in err, "space" in err) == (2, 1, True, True)
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
    done("export", tmp_path / "t", "--out", exported)
    with torch.serialization.safe_globals([argparse.Namespace]):
        source = torch.load(golden / "cifar10_conv3.pth", weights_only=True)["model"]
    pth = suffix == "pth"
    back = torch.load(exported, weights_only=True)["model"] if pth else safetensors.torch.load_file(exported)
    assert back.keys() == source.keys()
    for name, tensor in source.items():
        assert torch.equal(tensor, back[name]), name
    info = load_weights(tmp_path / "t")[0]
    make_reference(find_family("conv3"), info.spec, back)  # load_state_dict(strict=True)
    assert f"is there  {exported}" in convert("export", tmp_path / "t", "--out", exported)[1]
    exported.write_bytes(b"another file")
    status, _, err = convert("export", tmp_path / "t", "--out", exported)
    assert (status, exported.read_bytes()) == (2, b"another file"), err


def test_normalisation_can_be_given(golden, convert, tmp_path):
    values = ("--mean", "0.1", "0.2", "0.3", "--std", "0.5", "0.5", "0.5")
    convert("teacher", golden / "cifar10_conv3.pth", *CIFAR, *values, "--out", tmp_path / "t")
    assert gift_jax.load_teacher(tmp_path / "t").info.normalisation.mean == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("--mean", "0.1", "--std", "0.5"), "--mean and --std have 1 values, but cifar10 has 3 channels"),
        (("--mean", "0.1", "0.1", "0.1", "--std", "0.5", "0.5", "0"), "above zero"),
        (("--mean", "0.1", "0.1", "nan", "--std", "0.5", "0.5", "1"), "--mean takes FLOAT, not 'nan'"),
    ],
)
def test_a_wrong_normalisation_is_refused(values, message, golden, convert, tmp_path):
    status, _, err = convert("teacher", golden / "cifar10_conv3.pth", *CIFAR, *values, "--out", tmp_path / "t")
    assert (status, err.count("\n"), (tmp_path / "t").exists()) == (2, 1, False)
    assert message in err


def test_nothing_that_differs_is_replaced(golden, convert, done, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("...")
    arguments = ("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out")
    status, _, err = convert(*arguments, tmp_path / "precious")
    assert (status, (tmp_path / "precious" / "thesis.tex").read_text()) == (2, "...")
    assert "is not a teacher" in err
    done(*arguments, tmp_path / "t")
    status, out, _ = convert(*arguments, tmp_path / "t")
    assert (status, f"is there  {tmp_path / 't'}" in out) == (0, True)
    before = {path: path.read_bytes() for path in (tmp_path / "t").rglob("*") if path.is_file()}
    torch.save({"state_dict": official(spec(depth=3, width=128, size=32), 7).state_dict()}, tmp_path / "other.pth")
    other = (("teacher", tmp_path / "other.pth", *CIFAR), (*arguments[:-1], "--mean", 0.1, 0.1, 0.1, "--std", 1, 1, 1))
    for words in other:
        status, _, err = convert(*words, "--out", tmp_path / "t")
        assert (status, "holds something else, and is not replaced" in err) == (2, True)
    assert before == {path: path.read_bytes() for path in (tmp_path / "t").rglob("*") if path.is_file()}
    (tmp_path / "other.pth").unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "t"]


def test_what_is_there_is_not_touched(golden, convert, tmp_path):
    arguments = ("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out", tmp_path / "t")
    convert(*arguments)
    (tmp_path / "t" / "notes.txt").write_text("mine")
    status, out, _ = convert(*arguments)
    assert (status, "is there" in out, (tmp_path / "t" / "notes.txt").read_text()) == (0, True, "mine")
