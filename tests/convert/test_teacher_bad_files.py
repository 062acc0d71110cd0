"""Files that are missing, damaged, mislabelled or malicious: one sentence, and nothing run or written."""

import pickle

import pytest
import torch
from fuzzing import Payload
from modules import official, spec
from trees import RDED

from convert.families.convnet import Reference

CIFAR = ("--dataset", "cifar10", "--model", "conv2")


def small_state():
    return official(spec(size=32)).state_dict()


def saved(path, state):
    torch.save({"model": state}, path)
    return path


@pytest.mark.parametrize("kind", ["zip", "legacy", "bare"])
def test_a_malicious_checkpoint_is_refused_and_not_run(kind, refused, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "evil.pth"
    if kind == "bare":
        path.write_bytes(pickle.dumps(Payload(f"touch {mark}")))
    else:
        content = {"model": small_state(), "args": Payload(f"touch {mark}")}
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    refused("teacher", path, *CIFAR, message="save" if kind == "bare" else "would run code")
    assert not mark.exists()
    if kind == "bare":  # the payload works: it was the reader that kept it from running
        pickle.loads(path.read_bytes())
        assert mark.exists()


def test_a_missing_file(refused, tmp_path):
    refused("teacher", tmp_path / "x.pth", *CIFAR, message="no such file", names="x.pth")


def test_a_zip_of_several_disks(refused, tmp_path):
    path = saved(tmp_path / "x.pth", small_state())
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x06\x07") + 16] = 9  # of nine disks
    path.write_bytes(content)
    refused("teacher", path, *CIFAR, message="not a PyTorch checkpoint")
    refused("distilled", path, *RDED, message="span multiple disks")


def change(name, edit):
    return lambda state: {**state, name: edit(state[name].clone())}


def without(name):
    return lambda state: {key: value for key, value in state.items() if key != name}


def filled(value):
    def edit(tensor):
        tensor.view(-1)[0] = value
        return tensor

    return edit


CHANGES = {
    "nan": (change("classifier.bias", filled(float("nan"))), "classifier.bias holds values that are not finite"),
    "negative variance": (change("layers.norm.0.running_var", filled(-1.0)), "negative variances"),
    "missing variance": (without("layers.norm.1.running_var"), "layers.norm.1.running_var is missing"),
    "no classifier": (without("classifier.weight"), "holds no conv2"),
    "extra": (lambda state: {**state, "head.weight": torch.zeros(3)}, "head.weight is not part of this architecture"),
    "extra block": (lambda state: {**state, "layers.norm.7.bias": torch.zeros(8)}, "layers.norm.7.bias is not part"),
    "shape": (change("layers.conv.1.weight", lambda t: t[:, :4]), "layers.conv.1.weight has shape [8, 4, 3, 3]"),
    "prefix twice": (lambda state: {**state, "module.classifier.bias": torch.zeros(10)}, "with and without a prefix"),
    "beyond memory": (change("classifier.bias", lambda t: t[:1].expand(2**40)), "has shape [1099511627776], where"),
}


@pytest.mark.parametrize(("edit", "message"), CHANGES.values(), ids=CHANGES)
def test_weights_that_do_not_fit(edit, message, refused, tmp_path):
    path = saved(tmp_path / "x.pth", edit(small_state()))
    refused("teacher", path, *CIFAR, message=message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--dataset cifar10 --model conv3", "holds a conv2, but --model is conv3"),
        ("--dataset cifar11 --model conv2", "'cifar11' is unknown"),
        ("--dataset cifar10 --model resnet9", "'resnet9' is unknown"),
        ("--dataset digits --model conv2", "takes 3-channel images, but the dataset's have 1"),
        ("--dataset cifar10 --model conv2 --image-size 64", "reads 512 features, but 64 pixels give 2048"),
    ],
)
def test_options_that_do_not_fit(arguments, message, refused, tmp_path):
    path = saved(tmp_path / "x.pth", small_state())
    refused("teacher", path, *arguments.split(), message=message, names="")


def test_an_unwritable_place(convert, tmp_path):
    path = saved(tmp_path / "x.pth", small_state())
    status, _, err = convert("teacher", path, *CIFAR, "--out", path / "teacher")
    assert (status, err.count("\n"), str(path / "teacher") in err) == (2, 1, True)


def test_logits_that_differ_are_refused(refused, tmp_path, monkeypatch):
    forward = Reference.forward
    monkeypatch.setattr(Reference, "forward", lambda self, x: forward(self, x) + 1)
    path = saved(tmp_path / "x.pth", small_state())
    refused("teacher", path, *CIFAR, message="differ from PyTorch's")
