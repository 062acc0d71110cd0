"""Checkpoints as people have them: each kind is converted with PyTorch's logits, or refused in one sentence."""

import argparse
import collections
import dataclasses
import io
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from modules import ResidualFunctionResNet, ShortcutResNet, dc_state, official, scaled, spec

import convert.checkpoint as checkpoint
import gift_jax
from convert.checkpoint import is_averaged, read_checkpoint
from convert.families import find_family
from convert.teacher import make_reference, reference_logits
from gift_jax.data.datasets import CONVNETS, DATASETS
from gift_jax.errors import GiftError
from gift_jax.models import MODELS, ModelSpec
from gift_jax.models.convnet import ConvNet
from gift_jax.teachers.teacher import load_weights

CONV2, ASKED = ("--dataset", "cifar10", "--model", "conv2"), spec(size=32, width=128)
IMAGES = np.random.default_rng(3).standard_normal((4, 32, 32, 3), np.float32)


def network(seed=0, **options):
    return official(spec(size=32, **options), seed)


def behind(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def assert_same_logits(found, module, rows=slice(None)):
    expected = reference_logits(module, IMAGES)[:, rows]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.fixture
def converted(done, tmp_path):
    """Save what a trainer saved, and convert it; returns the teacher and what was said."""

    def run(content, *arguments, out="t", save=torch.save):
        save(content, tmp_path / "w.pth")
        said = done("teacher", tmp_path / "w.pth", *arguments, "--out", tmp_path / out)
        return gift_jax.load_teacher(tmp_path / out), said

    return run


@pytest.fixture
def refused_as(refused, tmp_path):
    """Save what a trainer saved, or bytes, which are refused with a message."""

    def run(content, message, *options, names="w.pth"):
        if isinstance(content, bytes):
            (tmp_path / "w.pth").write_bytes(content)
        else:
            torch.save(content, tmp_path / "w.pth")
        refused("teacher", tmp_path / "w.pth", *CONV2, *options, message=message, names=names)

    return run


def bias_of(directory):
    return load_weights(directory)[1]["classifier"]["bias"]


COUNTS = ("total_ops", "total_params")


def with_counters(state):
    """As thop leaves a network whose operations it has counted."""
    layers = {name.rpartition(".")[0] for name in state}
    counters = {f"{layer}.{count}": torch.zeros(1, dtype=torch.float64) for layer in layers for count in COUNTS}
    return {**state, **counters, "total_ops": torch.zeros(1), "total_params": torch.zeros(1)}


def as_parameters(state):
    return collections.OrderedDict(
        (name, torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor) for name, tensor in state.items()
    )


def adam(state):
    moments = {"step": torch.tensor(5.0), "exp_avg": torch.ones(3), "exp_avg_sq": torch.ones(3)}
    return {"state": dict.fromkeys(range(len(state)), moments), "param_groups": [{"lr": 0.1, "params": [0, 1]}]}


def views(tensor):
    """The same values as every second one of a larger storage."""
    if not tensor.ndim:
        return tensor
    wide = torch.zeros(*tensor.shape, 2, dtype=tensor.dtype)
    wide[..., 1] = tensor
    return wide[..., 1]


FILES = {
    "bare": lambda s: s,
    "torchvision's reference": lambda s: {"model": s, "epoch": 3, "args": argparse.Namespace(lr=0.1)},
    "DataParallel": lambda s: {"state_dict": behind("module.", s)},
    "compiled": lambda s: behind("_orig_mod.module.", s),
    "t01 net": lambda s: {"net": s, "acc": torch.tensor(95.4), "epoch": 199},
    "t03 model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": adam(s), "epoch": 3},
    "t04 a trainer's prefix": lambda s: {"state_dict": behind("model.net.", s), "hyper_parameters": {"lr": 0.1}},
    "t06 parameters": as_parameters,
    "weights": lambda s: {"weights": s},
    "params": lambda s: {"params": s, "opt": adam(s)},
    "nested": lambda s: {"checkpoint": {"student": s}, "loss": 0.1},
    "in a tuple": lambda s: (s, 3),
    "counters": with_counters,
    "a wrapper within": lambda s: {name.replace("layers.", "layers.module."): tensor for name, tensor in s.items()},
    "DC's names in a wrapper": lambda s: {
        name.replace("features.", "features.module."): tensor for name, tensor in dc_state(network()).items()
    },
    "another network beside": lambda s: {"net": s, "teacher": {"conv1.weight": torch.zeros(4, 3, 7, 7)}},
    "another size beside": lambda s: {"net": s, "teacher": network(classes=100).state_dict()},
    "views": lambda s: {name: views(tensor) for name, tensor in s.items()},
}
# Whatever the file's name says.
FORMATS = {
    "legacy": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "safetensors": lambda state, path: safetensors.torch.save_file(state, path),
}


@pytest.mark.parametrize("kind", [*FILES, *FORMATS])
def test_weights_are_found_wherever_a_trainer_put_them(kind, converted):
    module = network()
    content = FILES.get(kind, dict)(module.state_dict())
    teacher, _ = converted(content, *CONV2, save=FORMATS.get(kind, torch.save))
    assert_same_logits(teacher.logits(IMAGES), module)


@pytest.mark.parametrize("key", ["model_ema", "state_dict_ema", "ema_state_dict", "ema"])
def test_averaged_weights_under_every_trainers_key(key, converted, refused_as, tmp_path):
    """The torchvision reference's average also counts its updates."""
    last, averaged = (network(seed) for seed in (0, 1))
    average = torch.optim.swa_utils.AveragedModel(averaged).state_dict()
    kept = average if key == "model_ema" else {"module": averaged.state_dict()}
    content = {"arch": "conv2", "state_dict": last.state_dict(), key: kept, "args": argparse.Namespace(lr=0.1)}
    for options, module in (((), last), (("--ema",), averaged)):
        teacher, said = converted(content, *CONV2, *options, out=f"teacher{len(options)}")
        assert (teacher.info.ema, "averaged weights" in said) == (bool(options), bool(options))
        expected = module.classifier.bias.detach().numpy()
        np.testing.assert_array_equal(bias_of(tmp_path / f"teacher{len(options)}"), expected)
    message = "holds no averaged weights (model_ema, state_dict_ema, ema_state_dict, ema) but model; leave out"
    refused_as({"model": last.state_dict()}, message, "--ema")


def test_averaged_weights_alone_are_taken_and_said_to_be_averaged(read):
    found = read({"ema": network().state_dict(), "decay": 0.999}, ASKED)
    assert (found.key, is_averaged(found.key)) == ("ema", True)


def test_of_several_that_fit_one_is_chosen_by_key(converted, refused_as, tmp_path):
    first, second = (network(seed).state_dict() for seed in (0, 1))
    several = {"last": first, "best": second, "optimizer": adam(first)}
    whole = {"state_dict": {**behind("student.", first), **behind("teacher.", second)}}
    for out, content, key in (("t", several, "best"), ("u", whole, "state_dict.teacher")):
        converted(content, *CONV2, "--key", key, out=out)
        np.testing.assert_array_equal(bias_of(tmp_path / out), second["classifier.bias"].numpy())
    refused_as(several, "holds several state dicts that fit, last, best; choose one")
    refused_as(several, "has no state dict under --key net; it has", "--key", "net")
    refused_as(whole, "it holds several networks, and --key takes one: state_dict.student, state_dict.teacher")


@pytest.fixture(scope="module")
def resnet():
    """A CIFAR ResNet-18 (3x3 stem, no max-pool) under torchvision's names."""
    return scaled(find_family("resnet18_modified").reference(RESNET))


def cifar_names(state, head):
    return {name.replace("downsample", "shortcut").replace("fc.", f"{head}."): value for name, value in state.items()}


RESNET = ModelSpec("resnet18_modified", 10, 32)


@pytest.mark.parametrize(
    "make",
    [lambda: ShortcutResNet("linear"), lambda: ShortcutResNet("classifier"), ResidualFunctionResNet],
    ids=["linear", "DC's classifier", "residual_function"],
)
def test_cifar_codes_resnets_are_torchvisions(make, read):
    """Their logits are those of torchvision's module, whose logits `test_families.py` compares."""
    module = scaled(make())
    found = read(module.state_dict(), RESNET)
    reference = make_reference(find_family("resnet18_modified"), found.spec, found.state)
    assert_same_logits(reference_logits(reference, IMAGES), module)


def without(state, *ends):
    return {name: tensor for name, tensor in state.items() if not name.endswith(ends)}


NOT_ALONE = {
    "DC's InstanceNorm": (
        lambda s: cifar_names(without(s, "running_mean", "running_var", "tracked"), "classifier"),
        "running statistics are missing",
    ),
    "two heads": (lambda s: {**s, "linear.bias": s["fc.bias"]}, r"linear\.bias is not part of this architecture"),
    "two spellings": (lambda s: {**cifar_names(s, "linear"), "fc.bias": s["fc.bias"]}, "holds no resnet18_modified"),
    "a loss beside": (lambda s: {**behind("model.", s), "loss.weight": torch.ones(10)}, "--key takes one: model$"),
    "no head": (lambda s: behind("features.", without(s, "fc.weight")), r"but 121 tensors: features\.conv1"),
    "a name of the file's": (
        lambda s: {**behind("module.", cifar_names(s, "linear")), "module.linear.bias": torch.full((10,), torch.nan)},
        r"pth: module\.linear\.bias holds values that are not finite",
    ),
    "a shape": (
        lambda s: {**cifar_names(s, "linear"), "layer2.0.shortcut.0.weight": torch.ones(96, 64, 1, 1)},
        r"pth: layer2\.0\.shortcut\.0\.weight has shape \[96, 64.* has \[128, 64",
    ),
    "narrower": (lambda s: {**s, "conv1.weight": torch.ones(16, 3, 3, 3)}, "16 channels, .*: a narrower relative"),
    "wider": (lambda s: {**s, "conv1.weight": torch.ones(128, 3, 3, 3)}, "128 channels, .*: a wider relative, which"),
}


@pytest.mark.parametrize(("change", "message"), NOT_ALONE.values(), ids=NOT_ALONE)
def test_resnets_that_are_not_whole_or_not_alone(change, message, resnet, read):
    with pytest.raises(GiftError, match=message):
        read(change(resnet.state_dict()), RESNET)


STATISTICS = {"mean": (0.5, 0.4, 0.3), "std": (0.25, 0.2, 0.3)}


def statistics(names=("mean", "std"), *, shape=(1, 3, 1, 1), factor=1):
    return {
        name: factor * torch.tensor(values).reshape(shape)
        for name, values in zip(names, STATISTICS.values(), strict=True)
    }


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda s: {**behind("0.", statistics()), **behind("1.", s)},
        lambda s: behind("module.", {**behind("normalize.", statistics(shape=(3,))), **behind("model.", s)}),
        lambda s: {**statistics(("mu", "sigma")), **s},
    ],
    ids=["Sequential", "a wrapper", "buffers of the network"],
)
@pytest.mark.parametrize("key", [(), ("--key", "whole")])
def test_a_layer_that_normalises_images_tells_how(wrapped, key, converted):
    module = network()
    teacher, _ = converted({"whole": wrapped(module.state_dict())}, *CONV2, *key)
    assert dataclasses.asdict(teacher.info.normalisation) == STATISTICS
    assert_same_logits(teacher.logits(IMAGES), module)


BEFORE = {
    "bytes": (statistics(factor=255), r"0\.mean and 0\.std normalise images by \[127\.5, .* give --mean and --std"),
    "a convolution": ({"weight": torch.eye(3)[:, :, None, None], "bias": torch.zeros(3)}, r"0\.weight, 0\.bias may"),
    "BatchNorm": ({"running_mean": torch.zeros(3), "running_var": torch.ones(3)}, r"0\.running_mean, 0\.running_var"),
    "a scale": ({"temperature": torch.ones(1)}, r"temperature may change its images; give --mean and --std"),
}


@pytest.mark.parametrize(("layer", "message"), BEFORE.values(), ids=BEFORE)
def test_what_stands_before_a_network_is_never_dropped_in_silence(layer, message, resnet, read):
    state = {**behind("0.", layer), **behind("1.", resnet.state_dict())}
    with pytest.raises(GiftError, match=message):
        read(state, RESNET, key="1")
    assert read(state, RESNET, key="1", normalised=True).normalisation is None


def test_rows_of_a_larger_head(resnet, read):
    state = resnet.state_dict()
    wide = {**state, "fc.weight": torch.randn(1000, 512), "fc.bias": torch.randn(1000)}
    rows = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)
    found = read(wide, RESNET, rows=rows)
    np.testing.assert_array_equal(found.params["fc"]["kernel"], wide["fc.weight"][list(rows)].numpy().T)
    refusals = dict.fromkeys(((), (0, 1000), (0, 0), (-1, 3)), r"has 1000 rows; give different --rows from 0 to 999")
    refusals[None] = r"has 1000 outputs, but the dataset has 10 classes; .* or give --rows"
    refusals[0, 1] = r"has 2 outputs, but the dataset has 10 classes; check --dataset$"
    for wrong, message in refusals.items():
        with pytest.raises(GiftError, match=message):
            read(wide, RESNET, rows=wrong)


def test_the_command_keeps_rows_in_their_order(converted):
    module, rows = network(classes=100), list(range(99, 89, -1))
    teacher, said = converted({"net": module.state_dict()}, *CONV2, "--rows", *rows)
    assert "10 classes" in said
    assert_same_logits(teacher.logits(IMAGES), module, rows=rows)


def test_only_convnets_see_smaller_images():
    """ConvNeXt's name begins as theirs, and it takes 224 pixels."""
    assert {name for name, model in MODELS.items() if model.func is ConvNet} == CONVNETS
    assert [DATASETS["imagenet-1k"].input_size(model) for model in ("convnext_tiny", "conv4")] == [224, 64]


def test_norms_that_keep_no_statistics_are_named_by_the_user(converted, refused_as):
    """Parameters alone of a BatchNorm network look like InstanceNorm's weights."""
    module, parameters = network(norm="instance"), dict(network().named_parameters())
    teacher, _ = converted(module.state_dict(), *CONV2, "--norm", "instance")
    assert_same_logits(teacher.logits(IMAGES), module)
    for content, options, message in (
        (module.state_dict(), (), "which leaves open what they were"),
        (parameters, (), "give --norm instance"),
        (parameters, ("--norm", "batch"), "running statistics are missing"),
        (network().state_dict(), ("--norm", "instance"), "are those of --norm batch, not instance; leave out --norm"),
    ):
        refused_as(content, message, *options)


# PyTorch's own reader fails on float8.
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype, read):
    state = {name: tensor.to(dtype) for name, tensor in network().named_parameters()}
    found = read({**network().state_dict(), **state}, ASKED).params["classifier"]["bias"]
    np.testing.assert_array_equal(found, state["classifier.bias"].detach().float().numpy(), strict=True)


def test_negated_views_are_read(read):
    state = network().state_dict()
    bias = torch.complex(state["classifier.bias"], -state["classifier.bias"]).conj().imag
    assert bias.is_neg()
    found = read({**state, "classifier.bias": bias}, ASKED)
    np.testing.assert_array_equal(found.params["classifier"]["bias"], state["classifier.bias"].numpy())


KINDS = {
    "quantised": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    "complex": lambda t: t.to(torch.complex64),
    "sparse": lambda t: t.to_sparse(),
    "compressed": lambda t: t[None].to_sparse_csr(),
    "meta": lambda t: t.to("meta"),
    "empty": lambda t: t[:0],
    "scalar": lambda t: t[0],
    "bool": lambda t: t > 0,
    "float8 of exponents": lambda t: t.to(torch.float8_e8m0fnu),
    "nested": lambda t: torch.nested.nested_tensor([t, t[:2]]),
}
PLACES = ("layers.norm.0.bias", "layers.conv.0.weight", "classifier.weight", "layers.norm.0.num_batches_tracked")


@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # PyTorch's, of kinds that are prototypes or deprecated
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_every_kind_are_read_or_refused_in_one_sentence(kind, place, tmp_path):
    state, path = network().state_dict(), tmp_path / "w.pth"
    try:
        tensor = KINDS[kind](state[place].float().reshape(-1) if state[place].ndim < 2 else state[place].float())
        torch.save({**state, place: tensor}, path)
    except (RuntimeError, NotImplementedError) as error:
        pytest.skip(f"PyTorch makes or saves no such tensor: {error}")
    found, sentence = None, f"{path}: "
    try:
        found = read_checkpoint(path, ASKED, find_family("conv2"))
    except GiftError as error:
        sentence = str(error)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    assert len(sentence) < 400
    if found:
        assert place.endswith("num_batches_tracked") or kind == "float8 of exponents"
        assert all(np.isfinite(array).all() for array in found.params["classifier"].values())


def test_a_kind_that_makes_pytorch_raise_what_it_likes(monkeypatch, refused_as):
    def raises(*arguments):
        raise RecursionError("maximum\nrecursion")

    monkeypatch.setattr(checkpoint, "from_torch", raises)
    message = "holds what cannot be read as weights (maximum); save"
    refused_as(network().state_dict(), message)


def archive(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name.replace("__", "/"), text)
    return content.getvalue()


def scripted():
    content = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), content)
    return content.getvalue()


def of_arch(arch):
    return {"arch": arch, "state_dict": network().state_dict()}


def many_times():
    """A file of a few bytes that holds one mapping a hundred million times."""
    level = {"a": 1}
    for _ in range(4):
        level = {f"k{i}": level for i in range(100)}
    return level


NOT_ONE = "not a PyTorch checkpoint, "
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:1234\nsize 44789\n"
REFUSED = {
    "text": (lambda: b"hello, this is a text file", f"{NOT_ONE}or a damaged one"),
    "no zip": (lambda: b"PK\x03\x04 not a zip", f"{NOT_ONE}or a damaged one"),
    "zeros": (lambda: b"\x00" * 64, f"{NOT_ONE}or a damaged one"),
    "empty": (lambda: b"", f"{NOT_ONE}but an empty file"),
    "pointer": (lambda: POINTER, "is a git-lfs pointer, not the file itself; fetch it with `git lfs pull`"),
    "page": (lambda: b"\n<!DOCTYPE html><html><head>Google Drive", "is a web page that was saved in place of"),
    "tar": (lambda: b"w.pth".ljust(257, b"\0") + b"ustar\0" + bytes(300), f"{NOT_ONE}but a tar archive; unpack it"),
    "gzip": (lambda: b"\x1f\x8b\x08\0", f"{NOT_ONE}but a compressed file; unpack it first"),
    "array": (lambda: b"\x93NUMPY\x01\0", f"{NOT_ONE}but a NumPy array; only PyTorch's weights are converted"),
    "keras": (lambda: b"\x89HDF\r\n\x1a\n", f"{NOT_ONE}but an HDF5 file, as Keras writes"),
    "a zip of it": (lambda: archive(weights__w="1"), f"{NOT_ONE}but a zip of other files (weights/w); unpack it"),
    "script": (scripted, f"{NOT_ONE}but a TorchScript program; save `torch.jit.load(FILE).state_dict()`"),
    "a module": (lambda: {"net": network()}, "would run code (convert.families.convnet.Reference); save its"),
    "no tensors": (lambda: {"epoch": 3, "lr": 0.1}, "but a mapping of epoch, lr; save"),
    "a tensor": (lambda: {"bias": torch.zeros(10), "epoch": 3}, "but 1 tensor beside 'epoch', of type int; save"),
    "a list": (lambda: [torch.zeros(2), torch.zeros(2)], "but a list of 2 (Tensor, Tensor); save"),
    "a tensor alone": (lambda: torch.zeros(2), "but a tensor [2] alone; save"),
    "nothing": (dict, "but a mapping of nothing; save"),
    "a strange name": (lambda: {"a\nb" * 99: torch.zeros(2)}, "classifier.weight), but 1 tensor: 'a\\nba"),
    "one mapping many times": (many_times, "holds no state dict"),
    "the largest of several": (
        lambda: {"net": network(classes=100).state_dict(), "other": {"classifier.bias": torch.zeros(100)}},
        "(under net): has 100 outputs, but the dataset has 10",
    ),
    "padding": (lambda: of_arch("tf_efficientnet_b0"), "a tf_efficientnet_b0, which pads and normalises as"),
    "blurring": (lambda: of_arch("resnetblur50"), "holds a resnetblur50, which blurs where it halves the image"),
    "windows": (lambda: of_arch("swinv2_tiny_window16_256"), "window16_256, which has windows of another size"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_what_was_found(make, message, refused_as):
    refused_as(make(), message)


def test_folders_are_named_too(refused, tmp_path):
    many = (f"res_{number:02d}.pt" for number in range(22))
    for number, (message, *files) in enumerate(
        (
            ("a folder without a checkpoint in it; give the .pth",),
            ("a folder, not a checkpoint; give best.pth.tar in it", "best.pth.tar"),
            ("of 22 files that may be checkpoints ('res_00.pt', 'res_01.pt', 'res_02.pt' and 19 more)", *many),
            ("config.json: not a JSON file", "model.safetensors", "config.json"),
            ("a teacher that was converted already; use it as it is", "teacher.json"),
        )
    ):
        place = tmp_path / f"folder{number}"
        for file in (place / name for name in (".keep", *files)):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        refused("teacher", place, *CONV2, message=message)


def test_another_architecture_is_named(resnet, refused_as):
    refused_as(
        resnet.state_dict(),
        "holds no conv2 (layers.conv.0.weight, classifier.weight), but 122 tensors: conv1.weight [64, 3, 3, 3], "
        "bn1.weight [64], ...; check --model; its names are those of a resnet18 or a relative of it",
    )
