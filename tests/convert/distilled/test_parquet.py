"""Parquet shards as Hugging Face writes them: a struct of bytes and path, or bytes, and class_id or label."""

import io

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


def test_row_groups_are_read_one_by_one_and_only_where_needed(imported, tmp_path, monkeypatch):
    read, iterate = [], pq.ParquetFile.iter_batches

    def spy(self, size, row_groups, columns):
        read.append(row_groups)
        return iterate(self, size, row_groups, columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    monkeypatch.setattr("convert.distilled.parquet.BATCH", 3)
    distilled = imported(shards(tmp_path / "data", group=5), *RDED)
    assert_same(distilled, IMAGES[KEPT], LABELS[KEPT])
    assert read == [[group] for group in sorted({row // 5 for row in KEPT})]


BAD = {
    "no label": (columns(label="target"), "has the columns image, target; expected image"),
    "names of classes": (
        columns().set_column(1, "label", pa.array([str(label) for label in LABELS])),
        "class_id or label (whole numbers)",
    ),
    "no image": (columns().drop_columns(["image"]), "expected image"),
    "images as numbers": (columns().set_column(0, "image", pa.array([[1, 2]] * 40)), "expected image"),
    "paths alone": (columns(image=lambda row: None if row == KEPT[0] else BYTES[row]), "embed the images"),
    "a label missing": (columns().set_column(1, "label", pa.array([None, *LABELS[1:].tolist()])), "without label"),
    "eleven classes": (columns().set_column(1, "label", pa.array([*LABELS[:39], 10])), "has a label 10"),
    "too few": (columns(range(15)), "images, but --ipc is 2"),
    "a damaged image": (columns(image=lambda row: BYTES[row][:100]), "row 0 of row group 0 is damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_shards_that_do_not_fit_are_refused(name, refused, tmp_path):
    table, message = BAD[name]
    folder = shards(tmp_path / "data", table)
    refused("distilled", folder, *RDED, message=message, names=folder)


@pytest.mark.parametrize("share", [0.1, 0.9, 0.99])
def test_truncated_shards_are_refused(share, refused, tmp_path):
    folder = shards(tmp_path / "data")
    path = next(folder.iterdir())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused("distilled", folder, *RDED, message="cannot be read", names=repr(path.name))


@pytest.mark.parametrize(
    ("limit", "message"), [("LARGEST_GROUP", "write it with smaller ones"), ("MOST_ROWS", "has 40 rows")]
)
def test_shards_that_declare_too_much_are_not_read(limit, message, refused, tmp_path, monkeypatch):
    monkeypatch.setattr(f"convert.distilled.parquet.{limit}", 39)
    folder = shards(tmp_path / "data")
    refused("distilled", folder, *RDED, message=message, names=folder)


def test_images_that_are_too_long_are_not_decoded(refused, tmp_path, monkeypatch):
    monkeypatch.setattr("convert.distilled.parquet.LARGEST_FILE", 100)
    folder = shards(tmp_path / "data")
    refused("distilled", folder, *RDED, message="bytes, more than 100", names="row 0 of row group 0")


def test_a_zip_of_shards_is_read_in_place(imported, tmp_path):
    import zipfile

    folder = shards(tmp_path / "data", count=2)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"data/{path.name}")
    (tmp_path / "x.zip").write_bytes(stream.getvalue())
    assert_same(imported(tmp_path / "x.zip", *RDED), IMAGES[KEPT], LABELS[KEPT])
