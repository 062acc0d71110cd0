"""The official `data.pt`, written here as the official code writes it."""

import numpy as np
import pytest
import torch

import gift_jax

RDED = ("--method", "rded", "--dataset", "cifar10", "--ipc", "2")


def pixels(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), np.uint8)


@pytest.fixture
def write(tmp_path):
    def run(**content):
        torch.save(content, tmp_path / "data.pt")
        return tmp_path / "data.pt"

    return run


def test_byte_images_come_back_as_bytes(write, convert, tmp_path):
    images, labels = pixels(20), torch.arange(20) % 10
    path = write(dataset="cifar10", data=torch.from_numpy(images).float() / 255, label=labels)
    status, out, _ = convert("distilled", path, *RDED, "--out", tmp_path / "set.safetensors")
    assert (status, "20 raw images" in out) == (0, True)
    back = gift_jax.load_distilled(tmp_path / "set.safetensors")
    np.testing.assert_array_equal(back.images, images.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(back.labels, labels)
    assert (back.pixel_space, back.method, back.ipc, back.soft_labels) == ("raw", "rded", 2, None)
    assert back.provenance["source"] == "data.pt"
    assert len(back.provenance["sha256"]) == 64


def test_other_floats_stay_floats_and_columns_of_labels_are_read(write, convert, tmp_path):
    images = torch.rand(10, 3, 32, 32)
    path = write(dataset="cifar10", data=images, label=torch.arange(10)[:, None])
    arguments = ("--method", "sre2l", "--dataset", "cifar10", "--ipc", "1")
    assert convert("distilled", path, *arguments, "--out", tmp_path / "set.safetensors")[0] == 0
    back = gift_jax.load_distilled(tmp_path / "set.safetensors")
    np.testing.assert_array_equal(back.images, images.permute(0, 2, 3, 1))


def test_a_subset_is_the_first_images_of_each_class(write, convert, tmp_path):
    images, labels = pixels(40), torch.arange(40) // 4
    path = write(dataset="cifar10", data=torch.from_numpy(images).float() / 255, label=labels)
    convert("distilled", path, *RDED, "--out", tmp_path / "set.safetensors")
    back = gift_jax.load_distilled(tmp_path / "set.safetensors")
    expected = images.transpose(0, 2, 3, 1).reshape(10, 4, 32, 32, 3)[:, :2].reshape(20, 32, 32, 3)
    np.testing.assert_array_equal(back.images, expected)
    assert "the first 2 of each class" in back.provenance["subset"]


def test_learned_logits_become_soft_labels_by_row_not_by_argmax(write, convert, tmp_path):
    logits = torch.randn(20, 10)
    path = write(dataset="cifar10", data=torch.randn(20, 3, 32, 32), label=logits)
    arguments = ("--method", "datm", "--dataset", "cifar10", "--ipc", "2", "--pixel-space", "zca")
    assert convert("distilled", path, *arguments, "--out", tmp_path / "set.safetensors")[0] == 0
    back = gift_jax.load_distilled(tmp_path / "set.safetensors")
    np.testing.assert_array_equal(back.labels, np.arange(20) // 2)
    np.testing.assert_array_equal(back.soft_labels, logits)
    assert back.pixel_space == "zca"


GOOD = {"dataset": "cifar10", "data": torch.zeros(20, 3, 32, 32), "label": torch.arange(20) % 10}
BAD = {
    "no data": ({"data": None}, RDED, "data must be a tensor"),
    "other dataset": ({"dataset": "cifar100"}, RDED, "is of 'cifar100'"),
    "three classes": ({"label": torch.arange(20) % 3}, RDED, "class 3 has 0 images"),
    "eleven classes": ({"label": torch.arange(20) - 5}, RDED, "class 0 has 1 images|in 0..9"),
    "float ids": ({"label": torch.rand(20)}, RDED, "expected class ids [N] or logits"),
    "not in 0..1": ({"data": torch.full((20, 3, 32, 32), 2.0)}, RDED, "must be in [0, 1]"),
    "beyond float32": ({"data": torch.full((20, 3, 32, 32), 3e38)}, RDED, "must be in [0, 1]"),
    "other counts": ({"label": torch.arange(30) % 10}, RDED, "has 20 images, but 30 labels"),
    "nan": ({"data": torch.full((20, 3, 32, 32), float("nan"))}, RDED, "not finite"),
    "too few": ({}, (*RDED[:-1], "3"), "class 0 has 2 images, but --ipc is 3"),
    "space unknown": ({}, ("--method", "datm", "--dataset", "cifar10", "--ipc", "2"), "does not tell its pixel space"),
    "dataset unknown": ({}, ("--method", "rded", "--dataset", "cifar", "--ipc", "2"), "'cifar' is unknown"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_sets_are_refused(name, write, refused):
    changes, arguments, message = BAD[name]
    path = write(**{**GOOD, **changes})
    refused("distilled", path, *arguments, message=message.split("|")[0], names="")


def test_files_that_are_no_data_pt_are_refused(golden, refused):
    path = golden / "cifar10_conv3.pth"
    refused("distilled", path, *RDED, message="not the official data.pt", names=path)
