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
from convert.families import find_family
from convert.teacher import make_reference, read_variables
from gift_jax.models import get_model
from gift_jax.teachers.teacher import load_weights

UNTOLD = ("instance", "group")  # norms that hold the same arrays
CIFAR = ("--dataset", "cifar10", "--model", "conv3")


def test_golden_teacher_gives_pytorchs_logits(golden, convert, tmp_path):
    status, out, _ = convert("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out", tmp_path / "teacher")
    assert status == 0
    assert "top-1 agreement 100 %" in out
    expected = np.load(golden / "cifar10_conv3_expected.npz")
    teacher = gift_jax.load_teacher(tmp_path / "teacher")
    logits = teacher.logits(expected["images_nchw"].transpose(0, 2, 3, 1))
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4, rtol=0)


def test_teacher_json_tells_what_was_converted(golden, convert, tmp_path):
    convert("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out", tmp_path / "teacher")
    info = json.loads((tmp_path / "teacher" / "teacher.json").read_text())
    assert (info["architecture"], info["dataset"], info["num_classes"], info["image_size"]) == (
        "conv3",
        "cifar10",
        10,
        32,
    )
    assert info["source_file"] == "cifar10_conv3.pth"
    digest = subprocess.run(["sha256sum", golden / "cifar10_conv3.pth"], capture_output=True, text=True, check=True)
    assert info["source_sha256"] == digest.stdout.split()[0]
    assert info["verification"]["images"] == 16
    assert 0 < info["verification"]["max_relative"] < 1e-5
    assert {"jax", "torch", "flax"} <= info["versions"].keys()


def test_the_command_itself_in_a_process_of_its_own(golden, tmp_path):
    command = [
        sys.executable,
        "-m",
        "convert",
        "teacher",
        golden / "cifar10_conv3.pth",
        *CIFAR,
        "--out",
        tmp_path / "t",
    ]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert (tmp_path / "t" / "teacher.json").is_file()


def images_of(model_spec, count=4):
    shape = (count, model_spec.channels, model_spec.image_size, model_spec.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def write(path, state, wrapping):
    wrappings = {
        "bare": lambda: torch.save(state, path),
        "model": lambda: torch.save({"model": state, "epoch": 3, "args": argparse.Namespace(lr=0.1)}, path),
        "state_dict": lambda: torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path),
        "compiled": lambda: torch.save({f"_orig_mod.module.{k}": v for k, v in state.items()}, path),
        "legacy": lambda: torch.save(state, path, _use_new_zipfile_serialization=False),
        "safetensors": lambda: safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, path),
    }
    wrappings[wrapping]()
    return path


@pytest.mark.parametrize("layout", ["official", "dc"])
@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_and_layout_equals_pytorch(norm, layout, tmp_path):
    model_spec = spec(norm)
    module = official(model_spec)
    state = module.state_dict() if layout == "official" else dc_names(model_spec, module.state_dict())
    requested = spec(norm if norm in UNTOLD else "batch", width=128)
    path = write(tmp_path / "w.pth", state, "bare")
    found, params, stats, _ = read_variables(path, requested, find_family("conv2"))
    assert found == model_spec
    images = images_of(model_spec)
    logits, _ = get_model(found).apply(params, stats, jnp.asarray(images.permute(0, 2, 3, 1).numpy()))
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
    path = write(tmp_path / "w.pth", module.state_dict(), "bare")
    found, params, stats, _ = read_variables(
        path, spec(norm if norm in UNTOLD else "batch", width=128), find_family("conv2")
    )
    model, images = get_model(found), images_of(model_spec)
    ours = jnp.asarray(images.permute(0, 2, 3, 1).numpy())
    flax_module = model.merge(params, stats)
    for block, expected in zip(flax_module.blocks, module.blocks(images), strict=True):
        ours = jax.nn.relu(block(ours, train=False)).reshape(
            4, *(s for side in expected.shape[2:] for s in (side, 2)), -1
        )
        ours = ours.mean(axis=(2, 4))
        theirs = expected.detach().permute(0, 2, 3, 1).numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    labels = torch.arange(4)
    loss = torch.nn.functional.cross_entropy(module.train()(images), labels)
    loss.backward()

    def ours_loss(params):
        logits, new = model.apply(params, stats, jnp.asarray(images.permute(0, 2, 3, 1).numpy()), train=True)
        return -jax.nn.log_softmax(logits)[jnp.arange(4), jnp.arange(4)].mean(), new

    (value, new), gradients = jax.value_and_grad(ours_loss, has_aux=True)(params)
    np.testing.assert_allclose(value, loss.detach().numpy(), rtol=1e-5)
    theirs = gradients_of(module, found, tmp_path)
    # A bias in front of a norm has no gradient but rounding, so the bound is absolute, by the largest gradient.
    largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(theirs))
    for one, other in zip(jax.tree.leaves(gradients), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * largest)
    updated = read_variables(write(tmp_path / "u.pth", module.state_dict(), "bare"), found, find_family("conv2"))[2]
    for one, other in zip(jax.tree.leaves(new), jax.tree.leaves(updated), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def gradients_of(module, model_spec, tmp_path):
    """PyTorch's gradients in this library's layout: converted as if they were weights."""
    state = {name: torch.ones_like(tensor) for name, tensor in module.state_dict().items()}
    state.update({name: parameter.grad for name, parameter in module.named_parameters()})
    return read_variables(write(tmp_path / "g.pth", state, "bare"), model_spec, find_family("conv2"))[1]


@pytest.mark.parametrize("wrapping", ["bare", "model", "state_dict", "compiled", "legacy", "safetensors"])
def test_every_file_structure_gives_the_same_weights(wrapping, tmp_path):
    state = official(spec()).state_dict()
    # The name lies about the kind of file, which is read off its content.
    path = write(tmp_path / "weights.pth", state, wrapping)
    _, params, _, read = read_variables(path, spec(width=128), find_family("conv2"))
    assert read.keys() == state.keys()
    kernel = state["layers.conv.0.weight"].permute(2, 3, 1, 0).numpy()
    np.testing.assert_array_equal(params["blocks"][0]["conv"]["kernel"], kernel)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype, tmp_path):
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in official(spec()).state_dict().items()}
    _, params, _, _ = read_variables(write(tmp_path / "w.pth", state, "bare"), spec(width=128), find_family("conv2"))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_export_gives_the_same_bits_back(suffix, golden, convert, tmp_path):
    convert("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out", tmp_path / "t")
    status, _, _ = convert("export", tmp_path / "t", "--out", tmp_path / f"back.{suffix}")
    assert status == 0
    with torch.serialization.safe_globals([argparse.Namespace]):
        source = torch.load(golden / "cifar10_conv3.pth", weights_only=True)["model"]
    exported = tmp_path / f"back.{suffix}"
    loaders = {"pth": lambda: torch.load(exported, weights_only=True)["model"]}
    back = loaders.get(suffix, lambda: safetensors.torch.load_file(exported))()
    assert back.keys() == source.keys()
    for name, tensor in source.items():
        assert torch.equal(tensor, back[name]), name
    info = load_weights(tmp_path / "t")[0]
    make_reference(find_family("conv3"), info.spec, back)  # load_state_dict(strict=True)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_an_export_to_a_full_disk_is_one_sentence(suffix, full_disk, golden, convert, tmp_path):
    convert("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out", tmp_path / "t")
    with full_disk(1000):
        status, _, err = convert("export", tmp_path / "t", "--out", tmp_path / f"back.{suffix}")
    assert (status, len(err.splitlines())) == (2, 1)
    assert f"back.{suffix}: " in err
    assert "free space" in err
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


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


def test_nothing_that_differs_is_replaced(golden, convert, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("...")
    arguments = ("teacher", golden / "cifar10_conv3.pth", *CIFAR, "--out")
    status, _, err = convert(*arguments, tmp_path / "precious")
    assert (status, (tmp_path / "precious" / "thesis.tex").read_text()) == (2, "...")
    assert "is not a teacher" in err
    assert convert(*arguments, tmp_path / "t")[0] == 0
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


def test_averaged_weights_are_taken_when_asked_for(convert, tmp_path):
    """A checkpoint of the torchvision reference with --model-ema: the average counts its updates, under a prefix."""
    last, averaged = (official(spec(size=32), seed) for seed in (0, 1))
    average = torch.optim.swa_utils.AveragedModel(averaged)
    torch.save({"model": last.state_dict(), "model_ema": average.state_dict()}, tmp_path / "w.pth")
    arguments = ("teacher", tmp_path / "w.pth", "--dataset", "cifar10", "--model", "conv2")
    assert convert(*arguments, "--out", tmp_path / "last")[0] == 0
    status, out, _ = convert(*arguments, "--ema", "--out", tmp_path / "averaged")
    assert status == 0
    assert "averaged weights" in out
    for name, module in (("last", last), ("averaged", averaged)):
        info, params, _ = load_weights(tmp_path / name)
        assert info.ema == (name == "averaged")
        np.testing.assert_array_equal(params["classifier"]["bias"], module.classifier.bias.detach().numpy())
    torch.save({"model": last.state_dict()}, tmp_path / "w.pth")
    status, _, err = convert(*arguments, "--ema", "--out", tmp_path / "t")
    assert (status, err.count("\n")) == (2, 1)
    assert "holds no averaged weights (model_ema, state_dict_ema, ema_state_dict, ema) but model; leave out" in err
