"""IDC's, DREAM's and NCFM's `[images, labels]`: images taken apart, enlarged and normalised as their readers do."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from convert.vision import load_torchvision_models
from gift_jax.data.datasets import DatasetSpec, Normalisation, write_dataset

load_torchvision_models()
from torchvision import transforms  # noqa: E402 (only now does it import)

CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
IDC = ("--method", "idc", "--dataset", "cifar10")
NAMES = {"idc": "data.pt", "dream": "data1000.pt", "ncfm": "data_20000.pt"}


def condensed(ipc=3, side=8, classes=10):
    """As their writers have it: noise around grey, clamped, then moved by one more step, class by class."""
    generator = torch.Generator().manual_seed(0)
    images = torch.clamp(torch.randn(classes * ipc, 3, side, side, generator=generator) / 4 + 0.5, 0, 1)
    images += 0.02 * torch.randn(images.shape, generator=generator)
    return images, torch.arange(classes).repeat_interleave(ipc)


def shown(images, labels, factor, mean, std):
    """What their readers train on: each class' images padded with grey, cut into cells, enlarged, all normalised."""
    side, decoded, targets = images.shape[-1], [], []
    cell = -(-side // factor)
    for label in labels.unique():
        padded = F.pad(images[labels == label], (0, cell * factor - side) * 2, value=0.5)
        cells = padded.unfold(2, cell, cell).unfold(3, cell, cell).permute(2, 3, 0, 1, 4, 5)
        decoded.append(torch.nn.Upsample(size=(side, side), mode="bilinear")(cells.flatten(0, 2)))
        targets.append(label.repeat(len(decoded[-1])))
    return transforms.Normalize(mean, std)(torch.cat(decoded)), torch.cat(targets)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_students_are_shown_what_the_authors_readers_show(method, factor, imported, tmp_path):
    images, labels = condensed()
    torch.save([images, labels], tmp_path / NAMES[method])
    arguments = ("--method", method, "--dataset", "cifar10", "--ipc", "2", "--factor", factor)
    distilled = imported(tmp_path / NAMES[method], *arguments)
    kept = torch.arange(30).reshape(10, 3)[:, :2].flatten()
    pixels, targets = shown(images[kept], labels[kept], factor, *CIFAR)
    np.testing.assert_array_equal(distilled.images, pixels.permute(0, 2, 3, 1))
    np.testing.assert_array_equal(distilled.labels, targets)
    assert (distilled.pixel_space, distilled.normalisation.mean, distilled.normalisation.std) == ("normalised", *CIFAR)
    assert distilled.ipc == 2 * factor**2
    assert "raw but not clamped" in distilled.provenance["values"]
    assert distilled.formation == factor


def test_cim_s_mosaics_stay_whole(imported, refused, tmp_path):
    images, labels = condensed()
    torch.save({"dataset": "cifar10", "data": images, "label": labels}, tmp_path / "data.pt")
    distilled = imported(tmp_path / "data.pt", "--method", "cim", *IDC[2:])
    np.testing.assert_array_equal(distilled.images, transforms.Normalize(*CIFAR)(images).permute(0, 2, 3, 1))
    message = "and --method cim's are trained on as they are stored; drop it"
    refused("distilled", tmp_path / "data.pt", "--method", "cim", *IDC[2:], "--factor", "2", message=message, names="")


def test_classes_in_any_order_are_taken_apart_class_by_class(imported, tmp_path):
    images, labels = condensed()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    torch.save([images[order], labels[order]], tmp_path / "data.pt")
    distilled = imported(tmp_path / "data.pt", *IDC, "--factor", "2")
    pixels, targets = shown(images[order], labels[order], 2, *CIFAR)
    np.testing.assert_array_equal(distilled.images, pixels.permute(0, 2, 3, 1))
    np.testing.assert_array_equal(distilled.labels, targets)


def test_soft_labels_are_those_of_the_image_that_a_cell_is_of(imported, tmp_path):
    images, labels = condensed()
    rows = torch.eye(10)[labels] * 5 + torch.rand(30, 10, generator=torch.Generator().manual_seed(2))
    np.savez(tmp_path / "x.npz", images=images.permute(0, 2, 3, 1).clamp(0, 1).numpy(), labels=rows.numpy())
    arguments = ("--method", "mine", *IDC[2:], "--pixel-space", "raw", "--soft-labels", "logits", "--factor", "2")
    distilled = imported(tmp_path / "x.npz", *arguments)
    expected = rows.reshape(10, 1, 3, 10).expand(10, 4, 3, 10).reshape(120, 10)
    np.testing.assert_array_equal(distilled.soft_labels, expected)


def test_bytes_are_taken_apart_as_numbers_from_0_to_1(imported, tmp_path):
    images, labels = condensed()
    levels = (images.clamp(0, 1) * 255).byte()
    torch.save([levels, labels], tmp_path / "data.pt")
    distilled = imported(tmp_path / "data.pt", *IDC, "--factor", "2")
    pixels, _ = shown(levels.float() / 255, labels, 2, (0, 0, 0), (1, 1, 1))
    np.testing.assert_allclose(distilled.images, pixels.permute(0, 2, 3, 1), atol=1e-6)
    assert distilled.pixel_space == "raw"


REFUSED = {
    "nobody says what an image holds": (IDC, "say --factor, 1 if it holds one (IDC has 2, for ImageNet 3, IDC-I 1)"),
    "cells below a pixel": ((*IDC, "--factor", "9"), "--factor is 9, but images have 8 pixels a side"),
    "no factor": ((*IDC, "--factor", "0"), "--factor must be 1 or more, not 0"),
    "a mosaic shown whole": (("--method", "rded", *IDC[2:], "--factor", "2"), "and --method rded's are trained on as"),
    "no statistics": (
        ("--method", "idc", "--dataset", "flowers", "--factor", "1"),
        "--method idc has no statistics of flowers in its authors' code; give --mean and --std",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_taken_wrong_is_refused(arguments, message, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flowers = DatasetSpec("flowers", 10, 8, Normalisation((0.5,) * 3, (0.2,) * 3), "mine")
    (tmp_path / "data/flowers").mkdir(parents=True)
    write_dataset(tmp_path / "data/flowers/dataset.json", flowers)
    torch.save(list(condensed()), tmp_path / "data.pt")
    refused("distilled", tmp_path / "data.pt", *arguments, message=message, names="")
