"""Flat folders of images with a list of their labels, as ImageNet's validation images are found."""

import pytest
from folders import pixels
from PIL import Image
from sources import refused

from gift_jax.data.datasets import get_dataset
from gift_jax.errors import GiftError
from gift_jax.readers.formats import read_images
from gift_jax.readers.request import SourceOptions

IMAGES = [f"val_{number}.png" for number in range(1, 7)]
WNIDS = ["n03", "n01", "n02"]  # in an order that is not sorted
BOM = "\ufeff"


@pytest.fixture
def flat(tmp_path):
    (tmp_path / "flat").mkdir()
    for number, name in enumerate(IMAGES):
        Image.fromarray(pixels(number, 8)).save(tmp_path / "flat" / name)
    return tmp_path / "flat"


def read(flat, labels, order=None, spec=None):
    listed, ordered = flat.parent / "labels.txt", flat.parent / "order.txt"
    listed.write_text(labels, encoding="utf-8")
    ordered.write_text(order or "", encoding="utf-8")
    reading = SourceOptions(labels=str(listed), class_order=order and str(ordered))
    return read_images(flat, train=False, spec=spec, reading=reading)


@pytest.mark.parametrize("name", ["labels.txt", "order.txt"])
def test_a_list_that_is_a_dangling_link_is_named_as_one(name, flat):
    for listed in ("labels.txt", "order.txt"):
        (flat.parent / listed).write_text("0\n" * len(IMAGES))
    (flat.parent / name).unlink()
    (flat.parent / name).symlink_to("gone.txt")
    reading = SourceOptions(labels=str(flat.parent / "labels.txt"), class_order=str(flat.parent / "order.txt"))
    with pytest.raises(GiftError, match=f"/{name}: is a link to gone.txt, which is not there"):
        read_images(flat, train=False, reading=reading)


def lines(form, labels=("n01", "n02", "n03") * 2):
    return "".join(f"{form.format(name, name[:-4], label)}\n" for name, label in zip(IMAGES, labels, strict=True))


FORMS = {
    "name and label": lines("{0} {2}"),
    "tabs": lines("{0}\t{2}"),
    "a table with a heading": "id,label\n" + lines('"{1}","{2}"'),
    "paths": lines("./{0}  {2}"),
    "a byte-order mark": BOM + lines("{0} {2}"),
    "Windows": lines("{0} {2}").replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_lists_are_understood(form, flat):
    records = read(flat, FORMS[form])
    assert records.class_names == ("n01", "n02", "n03")
    assert [records.where(row)[-5] for row in range(6)] == list("142536")
    assert records.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_labels_may_hold_spaces_and_commas_in_quotes(flat):
    records = read(flat, lines('{0},"{2}"', ["tench, Tinca tinca", "cock"] * 3))
    assert records.class_names == ("cock", "tench, Tinca tinca")
    records = read(flat, lines("{0} {2}", ["Ankle boot", "T-shirt/top"] * 3))
    assert records.class_names == ("Ankle boot", "T-shirt/top")


@pytest.mark.parametrize("first", [0, 1])
def test_ground_truth_counts_the_lines_of_a_class_order(first, flat):
    numbers = "".join(f"{number + first}\n" for number in (0, 1, 2, 2, 1, 0))
    records = read(flat, numbers, BOM + "\n".join(WNIDS))
    found = {records.where(row)[-5]: records.class_names[records.labels[row]] for row in range(6)}
    assert records.class_names == tuple(WNIDS)
    assert found == dict(zip("123456", ["n03", "n01", "n02", "n02", "n01", "n03"], strict=True))


BAD = {
    "no order": ("0\n" * 6, None, "has numbers alone; say which class each one is by `class_order`"),
    "another number": ("0\n1\n2\n", "\n".join(WNIDS), "has 3 labels, but there are 6 images"),
    "undecided": ("1\n2\n" * 3, "\n".join([*WNIDS, "n04"]), "leaves open whether they count from 0 or from 1"),
    "too large": ("0\n3\n" * 3, "\n".join(WNIDS), "leaves open whether they count"),
    "a stranger": (lines("{0} {2}") + "val_9.png n01\n", None, r"line 7 \('val_9.png n01'\) is no `name label`"),
    "one missing": (lines("{0} {2}").split("\n", 1)[1], None, "is no `name label`|has no label for 'val_1.png'"),
    "no label": (lines("{0}"), None, "is no `name label` of an image"),
    "two labels": (lines("{0} {2}") + "val_1.png n02\n", None, "has two labels for 'val_1.png'"),
    "empty": ("", None, "is empty"),
    "a third column": (lines("{0},{2},train"), None, r"line 1 \('val_1.png,n01,train'\) has 3 columns"),
    "tabs and a box": (lines("{0}\t{2}\t0\t9"), None, "has 4 columns"),
    "spaces and a split": (lines("{0} {2} train", ("n01440764", "n01443537", "n01484850") * 2), None, "has 3 columns"),
    "a pointer": ("version https://git-lfs.github.com/spec/v1\n", None, "is a git-lfs pointer"),
}


@pytest.mark.parametrize(("labels", "order", "message"), BAD.values(), ids=BAD)
def test_lists_that_do_not_fit_are_one_sentence(labels, order, message, flat):
    with pytest.raises(GiftError, match=f"labels.txt.*(?:{message})"):
        read(flat, labels, order)


def test_labels_that_are_numbers_are_class_ids_although_classes_lack_images(flat):
    records = read(flat, lines("{0} {2}", [0, 7, 2] * 2), spec=get_dataset("cifar10"))
    assert records.labels.tolist() == [0, 0, 2, 2, 7, 7]


def test_a_flat_folder_alone_names_the_option(flat):
    refused(flat, r"'val_1.png' is in no class folder; say the images' classes by `labels`", train=False)
