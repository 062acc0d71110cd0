"""Real images in every form and container, and what no form fits, in one sentence."""

import os
import re
import shutil
import zipfile

import cloudpickle
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import pixels, write_tree
from sources import CONTAINERS, FORMS, NAMES, refused, write_mnist, write_shards, zipped
from trees import encoded

from gift_jax.data.datasets import DatasetSpec, Normalisation
from gift_jax.data.transforms import open_image
from gift_jax.errors import GiftError
from gift_jax.readers.formats import has_test_images, read_images
from gift_jax.readers.request import SourceOptions


def content(records):
    rows = range(len(records.labels))
    return np.stack([np.asarray(open_image(records.read(row), records.where(row), 3)) for row in rows])


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_in_place_out_of_every_container(form, container, tmp_path):
    FORMS[form](tmp_path / "plain")
    CONTAINERS[container](tmp_path / "plain", tmp_path / container)
    assert has_test_images(tmp_path / container)
    for train in (True, False):
        plain, packed = (read_images(tmp_path / name, train=train) for name in ("plain", container))
        assert plain.class_names == packed.class_names
        np.testing.assert_array_equal(plain.labels, packed.labels)
        expected = content(plain)
        np.testing.assert_array_equal(content(packed), expected)
        for records in (plain, packed):  # as processes that decode have them
            np.testing.assert_array_equal(content(cloudpickle.loads(cloudpickle.dumps(records))), expected)
    assert {path.name for path in tmp_path.iterdir()} == {"plain", container}


def test_a_compressed_tar_is_unpacked_once(tmp_path, monkeypatch):
    FORMS["folders"](tmp_path / "plain")
    CONTAINERS["x.tgz"](tmp_path / "plain", tmp_path / "x.tgz")
    for _ in range(2):
        read_images(tmp_path / "x.tgz", train=True)
        monkeypatch.setattr("gift_jax.readers.archives.atomic_write", None)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "full"))
    monkeypatch.setattr("gift_jax.readers.archives.SPARED", 1 << 60)
    refused(tmp_path / "x.tgz", "does not fit unpacked on the disk")
    assert list((tmp_path / "full").rglob("*.tar")) == []


def test_one_archive_in_a_directory_is_read_and_of_two_none(tmp_path):
    FORMS["folders"](tmp_path / "plain")
    (tmp_path / "set").mkdir()
    zipped(tmp_path / "plain", tmp_path / "set" / "images.zip")
    assert len(read_images(tmp_path / "set", train=True).labels) == 6
    zipped(tmp_path / "plain", tmp_path / "set" / "more.zip")
    refused(tmp_path / "set", r"holds 2 archives \('images.zip', 'more.zip'\); give one of them")


def spec(names=NAMES):
    return DatasetSpec("mine", len(names), 8, Normalisation((0.5,) * 3, (0.5,) * 3), "here", class_names=tuple(names))


def test_parquet_has_its_splits_names_and_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("gift_jax.readers.parquet.KEPT", 1)  # a row group is read anew after another one
    records = read_images(write_shards(tmp_path / "data"), train=False)
    assert records.class_names == NAMES
    assert records.notes == {"split": "test", "shards": "2", "label_column": "label"}
    np.testing.assert_array_equal(records.labels, np.arange(6) % 3)
    for row in (0, 1, 2, 3, 4, 5, 0, 3, 5):
        np.testing.assert_array_equal(np.asarray(open_image(records.read(row), "", 3)), pixels(row, 8))
    assert records.where(4).endswith("'test-00001-of-00002.parquet', row 1 of row group 0")


def test_names_that_are_numbers_are_the_class_ids_and_others_are_the_datasets(tmp_path):
    records = read_images(write_shards(tmp_path / "numbers", names=("0", "2", "1")), train=True)
    assert (records.class_names, records.labels.tolist()) == (("0", "1", "2"), [0, 2, 1, 0, 2, 1])
    shuffled = read_images(write_shards(tmp_path / "named"), train=True, spec=spec(NAMES[::-1]))
    assert (shuffled.class_names, shuffled.labels.tolist()) == (NAMES[::-1], [2, 1, 0, 2, 1, 0])
    refused(tmp_path / "named", "has the class name 'ant', which is no class of mine", spec=spec(("bee", "cat", "dog")))


def test_of_several_label_columns_an_option_or_the_number_of_classes_decides(tmp_path):
    root = write_shards(tmp_path / "data", "fine_label", coarse_label=[0, 1, 0, 1, 0, 1], note=["x"] * 6)
    refused(root, "say by `label_column` which of fine_label, coarse_label is meant")
    for column in ("note", "nothing"):
        message = f"`label_column` is '{column}', which is none of whole numbers"
        refused(root, message, reading=SourceOptions(label_column=column))
    assert read_images(root, train=True, spec=spec()).labels.max() == 2
    assert read_images(root, train=True, reading=SourceOptions(label_column="coarse_label")).labels.max() == 1


def test_a_split_without_labels_is_not_tested_on(tmp_path):
    root = write_shards(tmp_path / "data", splits=("train", "validation"))
    table = pq.read_table(root / "train-00000-of-00002.parquet")
    hidden = table.set_column(1, "label", pa.array([-1, -1, -1]))
    pq.write_table(hidden.replace_schema_metadata(table.schema.metadata), root / "test-00000-of-00001.parquet")
    refused(root, r"rows without a class \(label -1\); say `test_split` of another", train=False)
    assert len(read_images(root, train=False, reading=SourceOptions(split="val")).labels) == 6


def test_splits_are_never_mixed(tmp_path):
    root = write_shards(tmp_path / "data", splits=("dogs", "wolves"))
    refused(root, "holds the splits dogs, wolves, none of training images; say by `split`")
    refused(root, "has no split 'cats', it holds dogs, wolves", reading=SourceOptions(split="cats"))
    write_tree(tmp_path / "tree" / "train", NAMES, size=8)
    assert not has_test_images(tmp_path / "tree")
    refused(tmp_path / "tree", "holds the splits train, none of test images; say by `test_split`", train=False)


def test_options_without_a_meaning_are_refused(tmp_path):
    write_mnist(tmp_path)
    for train, option in ((True, "`labels`"), (False, "`test_labels`")):
        message = rf"is IDX files \(MNIST's format\), for which {option} has no meaning"
        refused(tmp_path, message, train=train, reading=SourceOptions(labels="x.txt"))


@pytest.mark.parametrize("beginning", [b"version https://git-lfs.github.com/spec/v1\noid", b"<!DOCTYPE html><html>"])
@pytest.mark.parametrize(
    "name", ["x.zip", "a/x.npz", "a/train-00000-of-00001.parquet", "a/rose/x.png", "a/batches.meta"]
)
def test_what_lies_there_in_place_of_a_file_is_named(name, beginning, tmp_path):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(beginning)
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "a" / ("test_batch" if "meta" in name else "readme")).write_bytes(b"")
    with pytest.raises(GiftError, match=r"is a git-lfs pointer|is a web page"):
        content(read_images(tmp_path / (name if name == "x.zip" else "a"), train=True))


def test_hidden_files_are_left_out_and_links_are_followed(tmp_path):
    write_tree(tmp_path / "elsewhere", NAMES, size=8)
    root = write_tree(tmp_path / "set", NAMES[:2], size=8)
    (root / "cat").symlink_to(tmp_path / "elsewhere" / "cat", target_is_directory=True)
    for place in (".ipynb_checkpoints", "__MACOSX", "ant/.ipynb_checkpoints"):
        (root / place).mkdir()
        (root / place / "000.png").write_bytes(b"x")
    (root / "bee" / "._000.png").write_bytes(b"x")
    (root / "bee" / "again").symlink_to(root, target_is_directory=True)
    records = read_images(root, train=True)
    assert (records.class_names, records.labels.tolist()) == (NAMES, [0, 0, 1, 1, 2, 2])


def test_what_is_no_file_is_named_and_does_not_hang(tmp_path):
    root = write_tree(tmp_path / "set", NAMES, size=8)
    os.mkfifo(root / "ant" / "x.png")
    refused(root, r"ant/x.png: is a pipe")
    refused(root / "ant" / "x.png", r"ant/x.png: is a pipe")
    (root / "ant" / "x.png").unlink()
    (root / "ant" / "x.png").symlink_to("nowhere.png")
    refused(root, r"ant/x.png: is a link to nowhere.png, which is not there")
    (root / "ant" / "x.png").unlink()
    (root / "dog").symlink_to("nowhere")
    refused(root, r"set/dog: is a link to nowhere, which is not there")
    (root / "dog").unlink()
    (root / "x.zip").symlink_to("nowhere.zip")
    for path in (root, root / "x.zip"):
        refused(path, r"set/x.zip: is a link to nowhere.zip, which is not there")


def test_one_class_name_in_two_unicode_spellings_is_one_class(tmp_path):
    root = write_tree(tmp_path / "set", ("caf\u00e9", "cafe\u0301", "tea"), size=8)
    records = read_images(root, train=True)
    assert (records.class_names, records.labels.tolist()) == (("caf\u00e9", "tea"), [0, 0, 0, 0, 1, 1])
    assert read_images(root, train=True, spec=spec(("tea", "cafe\u0301"))).labels.tolist() == [1, 1, 1, 1, 0, 0]


def test_a_class_folder_without_images_is_said(tmp_path):
    root = write_tree(tmp_path / "set", NAMES, size=8)
    (root / "dog").mkdir()
    refused(root, "the class 'dog' has no images")
    (root / "dog" / "x.txt").write_bytes(b"x")
    refused(root, "the class 'dog' has no images; take")
    for name in ("x.heic", "y.GIF"):
        (root / "dog" / name).write_bytes(b"x")
    refused(root, r"the class 'dog' has no images but \.gif, \.heic; save them as PNG")
    shutil.rmtree(root / "ant"), shutil.rmtree(root / "bee"), shutil.rmtree(root / "cat")
    refused(root, r"holds images that are not read \(\.gif, \.heic\)")


@pytest.mark.parametrize("container", [None, *CONTAINERS])
def test_images_of_kinds_that_are_not_read_are_told_once(container, tmp_path, capsys):
    root = tmp_path / "set"
    for split in ("train", "test"):
        write_tree(root / split, NAMES, size=8)
    path = root if container is None else tmp_path / container
    left_out = ("train/ant/a.heic", "train/bee/b.HEIC", "test/cat/c.gif")
    others = ("Thumbs.db", "readme.txt", "list.csv", "about.md", "info.json", ".DS_Store", "train/ant/.hidden.gif")
    for name in (*left_out, *others):
        (root / name).write_bytes(b"x")
    if container:
        CONTAINERS[container](root, path)
    for train in (True, False, True):
        assert len(read_images(path, train=train).labels) == 6
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {path}: 3 images (.gif, .heic; ")
    assert "test/cat/c.gif' first" in line
    for name in left_out:
        (root / name).unlink()
    read_images(root, train=True)
    assert capsys.readouterr().err == ""


def write_tiny(root, moved):
    """Tiny-ImageNet in small, as published, or with its validation images moved into class folders."""
    write_tree(root / "train", [f"{name}/images" for name in NAMES], size=8)
    tree = write_tree(root / "val" / ("" if moved else "classes"), [f"{name}/images" for name in NAMES], 1, size=8)
    (root / "val" / "images").mkdir()
    (root / "test" / "images").mkdir(parents=True)
    (root / "test" / "images" / "test_0.png").write_bytes(encoded(pixels(9, 8)))
    lines = []
    for label, name in enumerate(NAMES):  # whose images are sorted otherwise
        lines.append(f"{9 - label}.png\t{name}\t0\t0\t7\t7\n")
        if not moved:
            (tree / name / "images" / "000.png").rename(root / "val" / "images" / f"{9 - label}.png")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return root


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("place", ["", "val"])
def test_a_leftover_of_tiny_imagenet_does_not_outrank_class_folders(moved, place, tmp_path):
    root = write_tiny(tmp_path / "tiny", moved)
    shutil.rmtree(root / "val" / "classes", ignore_errors=True)
    test = read_images(root / place, train=False)
    assert (test.class_names, test.labels.tolist()) == (NAMES, [0, 1, 2])
    np.testing.assert_array_equal(content(test), np.stack([pixels(100 * label, 8) for label in range(3)]))
    if not place:
        assert len(read_images(root, train=True).labels) == 6


def test_five_thousand_classes_and_names_in_any_script(tmp_path):
    names = [f"類{number:04d} ñ" for number in range(5000)]
    blob = encoded(pixels(0, 8))
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(f"{name}/0.png", blob)
    records = read_images(tmp_path / "x.zip", train=True)
    assert records.class_names == tuple(names)
    assert read_images(tmp_path / "x.zip", train=True, spec=spec(names)).labels.tolist() == list(range(5000))


def test_test_images_of_a_dataset_may_lack_a_class(tmp_path, capsys):
    write_tree(tmp_path / "few", NAMES[:2], size=8)
    records = read_images(tmp_path / "few", train=False, spec=spec())
    assert (records.class_names, records.labels.tolist()) == (NAMES, [0, 0, 1, 1])
    assert "has no images of 1 classes, 'cat' among them" in capsys.readouterr().err


def test_a_zip_whose_list_has_lost_members_to_a_comment_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("ant/0.png", "ant/1.png", "bee/0.png"):
            archive.writestr(name, b"")
    content = bytearray((tmp_path / "x.zip").read_bytes())
    first, second, _ = [found.start() for found in re.finditer(b"PK\x01\x02", content)]
    content[first + 32 : first + 34] = (second - first).to_bytes(2, "little")
    (tmp_path / "x.zip").write_bytes(content)
    refused(tmp_path / "x.zip", r"x.zip: its list of members is damaged at 'ant/0.png'")
