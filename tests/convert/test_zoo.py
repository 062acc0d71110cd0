"""The published teachers: found by their official names, converted, skipped when done, told when missing."""

import shutil

import pytest
import torch

from convert.families import find_family
from gift_jax import load_teacher
from gift_jax.models import ModelSpec
from gift_jax.teachers.published import ZOO


def test_the_table_has_the_fifteen_published_teachers_and_torchvisions():
    """The README table of RDED and GIFT: sum of its accuracies; input sizes are those of `test_distilled.py`."""
    published = [teacher for teacher in ZOO.values() if not teacher.file]
    assert (len(published), round(sum(teacher.top1 for teacher in published), 2)) == (15, 1115.97)
    sizes = {"cifar10_conv3": 32, "imagenet-1k_conv4": 64, "imagenet-1k_resnet18": 224}
    assert {name: ZOO[name].image_size for name in sizes} == sizes


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


def test_what_is_there_is_converted_and_the_rest_is_told(source, done, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    arguments, written = ("zoo", source, "--out", tmp_path / "teachers"), tmp_path / "teachers" / "cifar10_conv3"
    out = done(*arguments)
    assert {path.name for path in (tmp_path / "teachers").iterdir()} == {"cifar10_conv3", "cifar100_conv3"}
    assert load_teacher(tmp_path / "teachers" / "cifar100_conv3").info.num_classes == 100
    assert squeezed(out).count("cifar10_conv382.2432converted") == 1
    assert out.count("missing") == 14 + 2  # rows, and a line for each place
    assert "resnet18-f37072fd.pth: https://download.pytorch.org" in out
    before = (written / "teacher.json").stat().st_mtime_ns
    assert squeezed(done(*arguments)).count("there") == 2
    assert (written / "teacher.json").stat().st_mtime_ns == before
    (written / "teacher.json").write_text("{}")
    done(*arguments)
    assert load_teacher(written).info.num_classes == 10  # made again


def test_one_that_fails_does_not_keep_the_others(source, convert, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    (source / "tinyimagenet_conv4.pth").write_bytes(b"not a checkpoint")
    shutil.copy(source / "cifar10_conv3.pth", source / "more" / "cifar10_conv3.pt")
    status, out, err = convert("zoo", source, "--out", tmp_path / "teachers")
    assert status == 2
    assert "2 could not be converted (cifar10_conv3, tinyimagenet_conv4); the table says why" in err.splitlines()[-1]
    assert ("not a PyTorch checkpoint" in out, "keep one" in out) == (True, True)
    assert [path.name for path in (tmp_path / "teachers").iterdir()] == ["cifar100_conv3"]


def test_a_directory_without_teachers_is_an_error(refused, tmp_path):
    refused("zoo", tmp_path / "empty", message="there is no such file or directory")
    (tmp_path / "empty").mkdir()
    refused("zoo", tmp_path / "empty", message="the published teachers")
