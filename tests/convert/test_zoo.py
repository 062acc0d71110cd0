"""The published teachers: found by their official names, converted, skipped when done, told when missing."""

import shutil

import pytest
import torch

from convert.families import find_family
from gift_jax import load_teacher
from gift_jax.models import ModelSpec
from gift_jax.teachers.published import ZOO


def test_the_table_has_the_fifteen_published_teachers_and_torchvisions():
    """The README table of RDED and GIFT: sum of its accuracies, and input sizes."""
    published = [teacher for teacher in ZOO.values() if not teacher.file]
    assert len(published) == 15
    assert round(sum(teacher.top1 for teacher in published), 2) == 1115.97
    sizes = {name: teacher.image_size for name, teacher in ZOO.items()}
    assert (sizes["cifar10_conv3"], sizes["tinyimagenet_conv4"], sizes["imagenet-1k_conv4"]) == (32, 64, 64)
    assert (sizes["imagenet-nette_conv5"], sizes["imagenet-100_conv6"], sizes["imagenet-1k_resnet18"]) == (
        128,
        128,
        224,
    )


def saved(path, model, classes, size):
    torch.manual_seed(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    module = find_family(model).reference(ModelSpec(model, classes, size))
    torch.save({"model": module.state_dict()}, path)


@pytest.fixture
def source(golden, tmp_path):
    """Two teachers that are there, one in a folder of its own and under a browser's name."""
    saved(tmp_path / "drive" / "more" / "CIFAR100_conv3 (1).pth", "conv3", 100, 32)
    shutil.copy(golden / "cifar10_conv3.pth", tmp_path / "drive")
    return tmp_path / "drive"


def squeezed(text):
    return "".join(text.replace("│", " ").split())


def test_what_is_there_is_converted_and_the_rest_is_told(source, convert, done, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = done("zoo", source, "--out", tmp_path / "teachers")
    assert {path.name for path in (tmp_path / "teachers").iterdir()} == {"cifar10_conv3", "cifar100_conv3"}
    assert load_teacher(tmp_path / "teachers" / "cifar100_conv3").info.num_classes == 100
    assert squeezed(out).count("cifar10_conv382.2432converted") == 1
    assert out.count("missing") == 14 + 2  # rows, and a line for each place
    assert "resnet18-f37072fd.pth: https://download.pytorch.org" in out
    before = (tmp_path / "teachers" / "cifar10_conv3" / "teacher.json").stat().st_mtime_ns
    status, out, _ = convert("zoo", source, "--out", tmp_path / "teachers")
    assert (status, squeezed(out).count("there")) == (0, 2)
    assert (tmp_path / "teachers" / "cifar10_conv3" / "teacher.json").stat().st_mtime_ns == before
    (tmp_path / "teachers" / "cifar10_conv3" / "teacher.json").write_text("{}")
    done("zoo", source, "--out", tmp_path / "teachers")
    assert load_teacher(tmp_path / "teachers" / "cifar10_conv3").info.num_classes == 10  # made again


def test_one_that_fails_does_not_keep_the_others(source, convert, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    (source / "tinyimagenet_conv4.pth").write_bytes(b"not a checkpoint")
    shutil.copy(source / "cifar10_conv3.pth", source / "more" / "cifar10_conv3.pt")
    status, out, err = convert("zoo", source, "--out", tmp_path / "teachers")
    assert status == 2
    assert err.splitlines()[-1].endswith(
        "2 could not be converted (cifar10_conv3, tinyimagenet_conv4); the table says why"
    )
    assert "not a PyTorch checkpoint" in out
    assert "keep one" in out
    assert [path.name for path in (tmp_path / "teachers").iterdir()] == ["cifar100_conv3"]


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda path: None, "there is no such file or directory"), (lambda path: path.mkdir(), "the published teachers")],
)
def test_a_directory_without_teachers_is_an_error(make, message, refused, tmp_path):
    make(tmp_path / "empty")
    refused("zoo", tmp_path / "empty", message=message, names=tmp_path / "empty")
