"""What was done to pixels: as a method's authors' code fixes it, as an option says it, never guessed."""

import numpy as np
import pytest
import torch

from gift_jax.data.datasets import DATASETS

# `get_dataset` of the DC family's `utils.py`; only CIFAR-100's statistics are not those of `DATASETS`.
CIFAR100 = ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762))


def learned(dataset, mean, std):
    """As DC, DSA and DM write them: random images in normalised space, two experiments in a file."""
    spec = DATASETS[dataset]
    images = torch.rand(spec.num_classes, spec.channels, 8, 8, generator=torch.Generator().manual_seed(0))
    images = (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    pairs = [[images, torch.arange(spec.num_classes)], [images + 1, torch.arange(spec.num_classes)]]
    return images, {"data": pairs, "accs_all_exps": {"ConvNet": [0.5]}}


@pytest.mark.parametrize(("method", "dataset"), [("dc", "mnist"), ("dsa", "cifar100"), ("dm", "tinyimagenet")])
def test_the_dc_family_s_statistics_are_known(method, dataset, imported, tmp_path):
    usual = DATASETS[dataset].normalisation
    statistics = CIFAR100 if dataset == "cifar100" else (usual.mean, usual.std)
    images, content = learned(dataset, *statistics)
    torch.save(content, tmp_path / "res.pt")
    distilled = imported(tmp_path / "res.pt", "--method", method, "--dataset", dataset)
    np.testing.assert_array_equal(distilled.images, images.permute(0, 2, 3, 1))
    assert distilled.pixel_space == "normalised"
    assert (distilled.normalisation.mean, distilled.normalisation.std) == statistics
    told = imported(tmp_path / "res.pt", "--method", method, "--dataset", dataset, "--pixel-space", "normalised")
    assert told.normalisation == distilled.normalisation


def test_options_come_before_what_a_method_s_code_has(imported, tmp_path):
    images, content = learned("cifar10", (0.5,) * 3, (0.2,) * 3)
    torch.save(content, tmp_path / "res.pt")
    arguments = ("--method", "dc", "--dataset", "cifar10", "--mean", *("0.5",) * 3, "--std", *("0.2",) * 3)
    distilled = imported(tmp_path / "res.pt", *arguments)
    assert distilled.normalisation.mean == (0.5,) * 3
    whitened = imported(tmp_path / "res.pt", "--method", "dc", "--dataset", "cifar10", "--pixel-space", "zca")
    assert (whitened.pixel_space, whitened.normalisation) == ("zca", None)
    np.testing.assert_array_equal(whitened.images, images.permute(0, 2, 3, 1))


WRONG = {
    "IDC's name on DC's pixels": (
        learned("cifar10", *CIFAR100)[1],
        ("--method", "idc", "--factor", "2"),
        "but --method idc is released unnormalised; say --pixel-space normalised, with --mean and --std, or zca",
    ),
    "DC's name on IDC's pixels": (
        learned("cifar10", (0.0,) * 3, (1.0,) * 3)[1],
        ("--method", "dc"),
        "but --method dc is released normalised, with values below 0; say --pixel-space raw if they are not",
    ),
}


@pytest.mark.parametrize(("content", "arguments", "message"), WRONG.values(), ids=WRONG)
def test_pixels_of_another_space_than_the_method_s_are_refused(content, arguments, message, refused, tmp_path):
    torch.save(content, tmp_path / "x.pt")
    refused("distilled", tmp_path / "x.pt", *arguments, "--dataset", "cifar10", message=message, names="x.pt")


def test_labels_of_tensors_count_the_classes_of_the_authors_code(imported, tmp_path):
    images = torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.save([images, torch.arange(10)], tmp_path / "data.pt")
    arguments = ("--method", "ncfm", "--factor", "1", "--dataset")
    assert imported(tmp_path / "data.pt", *arguments, "imagenet-woof").class_names[:2] == ("n02096294", "n02093754")
    assert imported(tmp_path / "data.pt", *arguments, "imagenet-10").class_names[0] == "n02869837"
    assert imported(tmp_path / "data.pt", *arguments, "cifar10").class_names == ()
