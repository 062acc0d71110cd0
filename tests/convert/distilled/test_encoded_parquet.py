"""Parquet shards as Hugging Face writes them: a struct of bytes and path, or bytes, and class_id or label."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from trees import RDED, assert_same, encoded, pixels

IMAGES = pixels(40)
LABELS = np.random.default_rng(3).permutation(np.arange(40) % 10)
BYTES = [encoded(image) for image in IMAGES]
# The rows that are kept: the first two of each class, in the order of the rows.
KEPT = sorted(row for label in range(10) for row in np.flatnonzero(label == LABELS)[:2])


def columns(rows=range(40), *, struct=True, label="class_id", kind="int32", image=lambda row: BYTES[row]):
    images = [{"bytes": image(row), "path": f"{row}.png"} if struct else image(row) for row in rows]
    return pa.table({"image": images, label: pa.array(LABELS[list(rows)].tolist(), getattr(pa, kind)())})


def shards(folder, table=None, count=1, group=7):
    folder.mkdir(parents=True, exist_ok=True)
    table = columns() if table is None else table
    per = -(-len(table) // count)
    for number in range(count):
        path = folder / f"train-{number:05d}-of-{count:05d}.parquet"
        pq.write_table(table.slice(number * per, per), path, row_group_size=group)
    return folder


@pytest.mark.parametrize("options", [{}, {"struct": False, "label": "label", "kind": "int64"}], ids=["struct", "bytes"])
@pytest.mark.parametrize("count", [1, 3])
def test_shards_come_back_in_the_order_of_their_rows(options, count, imported, tmp_path):
    distilled = imported(shards(tmp_path / "data", columns(**options), count), *RDED)
    assert_same(distilled, IMAGES[KEPT], LABELS[KEPT])
    assert distilled.provenance["shards"] == str(count)
    assert "in the order of the shards' rows: 20 of 40 images" in distilled.provenance["subset"]


def test_one_shard_is_a_set_whatever_its_name(imported, tmp_path):
    shards(tmp_path)
    path = (tmp_path / "train-00000-of-00001.parquet").rename(tmp_path / "download")
    assert_same(imported(path, *RDED), IMAGES[KEPT], LABELS[KEPT])


def named(names, labels=LABELS):
    """Shards as Hugging Face's `datasets` writes them: the class names are in the schema's metadata."""
    table = columns(label="label").set_column(1, "label", pa.array(labels.tolist()))
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


BAD = {
    "no label": (columns(label="target"), "has the columns image, target; expected image or img"),
    "two labels": (columns().append_column("class_id", pa.array(LABELS)), "one of them twice"),
    "two images": (columns().append_column("img", columns().column(0)), "expected image or img"),
    "names of classes": (columns().set_column(1, "label", pa.array(LABELS.astype(str))), "class_id or label (whole"),
    "no image": (columns().drop_columns(["image"]), "expected image or img"),
    "images as numbers": (columns().set_column(0, "image", pa.array([[1, 2]] * 40)), "expected image or img"),
    "paths alone": (columns(image=lambda row: None if row == KEPT[0] else BYTES[row]), "embed the images"),
    "a label missing": (columns().set_column(1, "label", pa.array([None, *LABELS[1:].tolist()])), "without label"),
    "eleven classes": (columns().set_column(1, "label", pa.array([*LABELS[:39], 10])), "has a label 10"),
    "too few": (columns(range(15)), "class 6 has 0 images, and only 9 of the 10 classes"),
    "beyond the class names": (named([*map(str, range(10))], LABELS - 1), "has a label -1, but 10 class names"),
    "a damaged image": (columns(image=lambda row: BYTES[row][:100]), "row 0 of row group 0: is no readable image"),
}


@pytest.mark.parametrize(("table", "message"), BAD.values(), ids=BAD)
def test_shards_that_do_not_fit_are_refused(table, message, refused, tmp_path):
    folder = shards(tmp_path / "data", table)
    refused("distilled", folder, *RDED, message=message)


@pytest.mark.parametrize(
    ("limit", "number", "message"),
    [
        ("LARGEST_GROUP", 39, "write it with smaller ones"),
        ("MOST_ROWS", 39, "has 40 rows"),
        ("LARGEST_FILE", 100, "row 0 of row group 0 has"),
    ],
)
def test_shards_that_declare_too_much_are_not_read(limit, number, message, refused, tmp_path, monkeypatch):
    monkeypatch.setattr(f"gift_jax.readers.parquet.{limit}", number)
    folder = shards(tmp_path / "data")
    refused("distilled", folder, *RDED, message=message)


def test_class_names_keep_their_order_unless_a_file_says_another(imported, refused, tmp_path):
    names, rded = [*"jihgfedcba"], ("--method", "rded", "--dataset", "imagenet-10", "--ipc", "2")
    folder, order = shards(tmp_path / "data", named(names)), tmp_path / "order.txt"
    distilled = imported(folder, *rded)
    assert_same(distilled, IMAGES[KEPT], LABELS[KEPT])
    assert (distilled.provenance["classes"], distilled.class_names) == ("names in the file's order", tuple(names))
    order.write_text("\n".join(sorted(names)))
    assert_same(imported(folder, *rded, "--class-order", order), IMAGES[KEPT], 9 - LABELS[KEPT])
    refused("distilled", folder, *RDED, message="'j', which is no class of cifar10")
    plain = shards(tmp_path / "plain")
    refused("distilled", plain, *RDED, "--class-order", order, message="has no class names")


SPLITS = [
    ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet", "train", "test"),
    ("data/train-00000-of-00001-0a.parquet", "data/validation-00000-of-00001-0a.parquet", "train", "validation"),
    ("default/train/0000.parquet", "default/test/0000.parquet", "train", "test"),
    ("10ipc-00000-of-00001.parquet", "50ipc-00000-of-00001.parquet", "10ipc", "50ipc"),
    ("train.parquet", "val.parquet", "train", "validation"),
    ("train.parquet", "rest.parquet", "train", None),
]


@pytest.mark.parametrize(("one", "other", "split", "second"), SPLITS, ids=lambda name: str(name))
def test_splits_are_never_read_together(one, other, split, second, imported, refused, tmp_path):
    folder = tmp_path / "x"
    for name, table in ((one, columns()), (other, columns(range(39, -1, -1)))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / name)
    refused("distilled", folder, *RDED, message="holds several splits (")
    refused("distilled", folder, *RDED, "--split", "no", message="has no split 'no', it holds")
    distilled = imported(folder, *RDED, "--split", split)
    assert_same(distilled, IMAGES[KEPT], LABELS[KEPT])
    assert distilled.provenance["split"] == split


def test_shards_in_two_folders_or_of_other_class_names_are_not_one_set(refused, tmp_path):
    shards(tmp_path / "x" / "ipc10"), shards(tmp_path / "x" / "ipc50")
    refused("distilled", tmp_path / "x", *RDED, message="its shards lie in 'ipc10', 'ipc50'; give one of these folders")
    pq.write_table(named([*map(str, range(10))]), shards(tmp_path / "y") / "train-00001-of-00002.parquet")
    refused("distilled", tmp_path / "y", *RDED, message="have other columns or class names")
