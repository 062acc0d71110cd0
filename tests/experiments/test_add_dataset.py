"""From a user's own pictures to a student's report, by commands alone."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
from folders import pixels
from PIL import Image
from sources import write_shards

from experiments import add_dataset, distill_rded, evaluate, report, train_teacher
from gift_jax.data import datasets
from gift_jax.data.datasets import get_dataset
from gift_jax.data.evaluation import load_records
from gift_jax.studies.results import read_results

CLASSES = ("Aster", "Löwenzahn", "バラ", "tulip", "0 weed")


def write_pictures(root, per_class, seed, names=CLASSES):
    """Class folders of small pictures of many shapes."""
    rng = np.random.default_rng(seed)
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            shape = (*rng.integers(9, 20, 2).tolist(), 3)
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(root / name / f"{number}.png")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(datasets, "_embedded", {})
    return tmp_path


def test_from_five_folders_of_pictures_to_a_report(place, succeed):
    write_pictures(place / "train", 12, 0)
    write_pictures(place / "test", 4, 1)
    out = succeed(add_dataset, "flowers", "--data", "train", "--test-data", "test", "--image-size", 8)
    assert "training images 60, 12 per class, of " in out
    assert "test images     20" in out
    assert "バラ" in out
    assert "--dataset flowers" in out
    with Image.open("data/flowers/sheet.png") as sheet:
        assert sheet.size == (780, 320)
    spec = get_dataset("flowers")
    assert (spec.class_names, spec.image_size, spec.channels) == (tuple(sorted(CLASSES)), 8, 3)
    common = ("--dataset", "flowers", "--model", "conv1", "--epochs", 2)
    succeed(train_teacher, *common, "--batch-size", 20, "--out", "teacher")
    rded = ("--ipc", 1, "--num-crops", 1, "--images-per-class", 2, "--smallest-area", 0.5)
    succeed(distill_rded, "--teacher", "teacher", *rded, "--out", "set.safetensors")
    paths = ("--distilled", "set.safetensors", "--teacher", "teacher", "--out", "runs/mine")
    assert "conv1 (8 pixels) under teacher conv1" in succeed(evaluate, *common, "--ipc", 1, "--seeds", 0, *paths)
    assert "1 result" in succeed(report, "runs/mine", "--out", "runs/report")
    assert (place / "runs" / "report" / "report.html").is_file()
    [row] = read_results(place / "runs" / "mine" / "results.jsonl")
    assert row["dataset"] == "flowers"


def test_options_that_read_a_source_are_kept(place, succeed):
    """A flat test folder with ImageNet's kind of ground truth, beside Parquet shards with two label columns."""
    write_shards(place / "hub", "fine_label", coarse_label=[0, 1, 0, 1, 0, 1])
    (place / "flat").mkdir()
    for number in range(3):
        Image.fromarray(pixels(number, 8)).save(place / "flat" / f"val_{number}.png")
    (place / "truth.txt").write_text("3\n1\n2\n")
    (place / "order.txt").write_text("\ufeffbee\ncat\nant\n", encoding="utf-8")
    options = ("--label-column", "fine_label", "--class-order", "order.txt")
    out = succeed(add_dataset, "Insects", "--data", "hub", *options)
    assert "test images     6; split: test; shards: 2; label_column: fine_label" in out
    spec = get_dataset("INSECTS")
    assert (spec.name, spec.class_names) == ("Insects", ("bee", "cat", "ant"))
    assert load_records("Insects", source=None, train=True).labels.tolist() == [2, 0, 1, 2, 0, 1]
    options = ("--test-data", "flat", "--test-labels", "truth.txt", "--class-order", "order.txt")
    shards = write_shards(place / "plain")
    succeed(add_dataset, "beetles", "--data", shards, *options)
    records = load_records("beetles", source=None, train=False)
    found = [records.class_names[label] for label in records.labels]
    assert dict(zip(map(records.where, range(3)), found, strict=True)) == {
        str(place / "flat" / f"val_{number}.png"): name for number, name in enumerate(("ant", "bee", "cat"))
    }


def test_statistics_are_of_the_pixels_that_a_network_sees(place, succeed):
    """Of arrays, which may keep test images apart."""
    pixels, labels = np.random.default_rng(0).integers(0, 256, (10, 6, 6), np.uint8), np.arange(10) % 2
    np.savez("mine.npz", images=pixels, labels=labels)
    np.savez("both.npz", x_train=pixels, y_train=labels, x_test=pixels[:4], y_test=labels[:4])
    succeed(add_dataset, "noise", "--data", "mine.npz", "--no-mirrors")
    spec = get_dataset("noise")
    assert spec.test is None  # images that serve for training are no test images
    assert (spec.image_size, spec.channels, spec.num_classes, spec.mirrors, spec.resize) == (6, 1, 2, False, None)
    assert spec.normalisation.mean == pytest.approx(((pixels / 255).mean(),), abs=1e-4)
    assert spec.normalisation.std == pytest.approx(((pixels / 255).std(),), abs=1e-4)
    assert "test images     4" in succeed(add_dataset, "both", "--data", "both.npz")
    assert get_dataset("both").test == str(place / "both.npz")


def test_a_sixteen_bit_picture_is_scaled_not_clipped(place, succeed):
    for label in range(2):
        (place / "train" / str(label)).mkdir(parents=True)
        values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
        Image.fromarray(values).save(place / "train" / str(label) / "0.png")
    succeed(add_dataset, "scans", "--data", "train")
    spec = get_dataset("scans")
    assert spec.channels == 1
    assert spec.normalisation.mean == pytest.approx((0.5,), abs=5e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("flowers", "--data", "train"), "pixels; give --image-size"),
        (("cifar10", "--data", "train"), "which is no class of cifar10"),
        (("cifar10", "--data", "train"), "check NAME and --data"),
        (("flowers", "--data", "train", "--hold-out", 1), "--hold-out must be a share between 0 and 1"),
        (("flowers", "--data", "train", "--hold-out", 0.2, "--test-data", "train"), "--hold-out and --test-data"),
        (("flowers", "--data", "empty", "--image-size", 8), "empty: holds no files"),
    ],
)
def test_what_does_not_fit_is_one_sentence(arguments, message, place, refuse):
    write_pictures(place / "train", 2, 0)
    (place / "empty").mkdir()
    assert message in refuse(add_dataset, *arguments)
    assert not (place / "data").exists()


@pytest.mark.parametrize(
    ("test", "shared"), [("train", "10 of 10"), ("copy", "10 of 10"), ("mixed", "5 of 10"), ("own", "")]
)
def test_test_images_that_are_training_images_are_said(test, shared, place, command):
    """The training folder itself, a copy of it, one that some of them slipped into, and one of its own."""
    write_pictures(place / "train", 2, 0)
    shutil.copytree(place / "train", place / "copy")
    write_pictures(place / "own", 2, 100)
    shutil.copytree(place / "own", place / "mixed")
    for folder in (place / "train").iterdir():
        first = min(folder.iterdir())
        shutil.copy(first, place / "mixed" / folder.name / first.name)
    status, _, error = command(add_dataset, "flowers", "--data", "train", "--test-data", test, "--image-size", 8)
    assert status == 0
    assert re.findall(r"warning: (\d+ of \d+) test images are training images", error) == [shared] * bool(shared)


def test_another_dataset_is_not_replaced(place, succeed, refuse):
    write_pictures(place / "train", 2, 0)
    describe = ("flowers", "--data", "train", "--image-size")
    succeed(add_dataset, *describe, 8)
    file = place / "data" / "flowers" / "dataset.json"
    before = file.read_bytes()
    succeed(add_dataset, *describe, 8)
    for others, name in (((9,), "image_size"), ((8, "--hold-out", 0.5), "train_reading")):
        message = refuse(add_dataset, *describe, *others)
        assert name in message
        assert "`rm data/flowers/dataset.json`" in message
        assert file.read_bytes() == before
    file.write_text("damaged")
    succeed(add_dataset, *describe, 9)


@pytest.mark.parametrize("spelt", ["pictures", "./pictures/", "other/../pictures"])
def test_a_recorded_split_goes_with_its_folder_however_it_is_spelt(spelt, place, succeed):
    (place / "other").mkdir()
    for split, count in (("train", 3), ("test", 1), ("validation", 2)):
        write_pictures(place / "pictures" / split, count, count)
    succeed(add_dataset, "flowers", "--data", "pictures", "--test-split", "validation", "--image-size", 8)
    assert len(load_records("flowers", source=spelt, train=False).labels) == 2 * len(CLASSES)


def test_what_names_alone_tell_is_told_before_an_image_is_read(refuse, place, monkeypatch):
    write_pictures(place / "train", 2, 0, names=("ant", "bee"))
    write_pictures(place / "single", 2, 0, names=("ant",))
    monkeypatch.setattr(add_dataset, "survey_images", lambda *_, **__: pytest.fail("images were read"))
    for arguments, message in (
        (
            ("mine", "--data", "train", "--test-data", "tset"),
            "tset: there is no such file or directory; check --test-data",
        ),
        (("mine", "--data", "train", "--class-order", "order"), "order: there is no such file or directory"),
        (("my shapes", "--data", "train"), "must be letters, digits"),
        (("mine", "--data", "single"), "single: has one class, 'ant', and students tell classes apart"),
    ):
        assert message in refuse(add_dataset, *arguments)


def test_a_description_without_test_images_is_warned_of_and_may_get_some(place, command, refuse):
    write_pictures(place / "train", 2, 0)
    write_pictures(place / "test", 1, 1)
    describe = ("flowers", "--data", "train", "--image-size", 8)
    status, out, error = command(add_dataset, *describe)
    assert status == 0
    assert "warning: flowers has no test images" in error
    proposed = [line for line in out.splitlines() if "python -m" in line and "distill_rded" not in line]
    assert ["--test-data DIR" in line or "--data DIR" in line for line in proposed] == [True] * 3
    message = refuse(train_teacher, "--dataset", "flowers", "--model", "conv1", "--out", "teacher")
    assert "data/flowers/dataset.json: names no test images" in message
    before = get_dataset("flowers")
    status, out, error = command(add_dataset, *describe, "--test-data", "test")
    assert (status, "--data DIR" in out, "warning" in error) == (0, False, False)
    assert get_dataset("flowers") == dataclasses.replace(before, test=str(place / "test"))
    assert "test differ" in refuse(add_dataset, *describe, "--test-data", "train")


def test_held_out_images_are_a_share_of_each_class_and_never_trained_on(place, succeed):
    write_pictures(place / "train", 10, 0, ("ant", "bee"))
    write_pictures(place / "train", 2, 1, ("cat",))
    write_pictures(place / "train", 1, 2, ("dog",))
    out = succeed(add_dataset, "insects", "--data", "train", "--image-size", 8, "--hold-out", 0.2)
    assert "training images 18" in out
    assert "test images     5" in out
    assert "DIR" not in out
    train, test = (load_records("insects", source=None, train=train) for train in (True, False))
    assert np.bincount(train.labels).tolist() == [8, 8, 1, 1]
    assert np.bincount(test.labels).tolist() == [2, 2, 1]
    files = [{one.where(row) for row in range(len(one.labels))} for one in (train, test)]
    assert (files[0] & files[1], len(files[0] | files[1])) == (set(), 23)
    assert {test.read(0), test.read(1)}.isdisjoint({train.read(row) for row in range(8)})
    assert train.digest != test.digest
    assert load_records("insects", source="train", train=False).digest == test.digest  # named by hand


def test_images_that_exif_data_turn_are_counted_and_read_as_they_lie(place, command):
    write_pictures(place / "train", 2, 0, ("ant", "bee"))
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(3):
        Image.new("RGB", (12, 9), "red").save(place / "train" / "ant" / f"turned_{number}.jpg", exif=exif)
    status, _, error = command(add_dataset, "insects", "--data", "train", "--image-size", 8)
    assert status == 0
    assert "warning: 3 images have an EXIF orientation" in error
