"""Datasets in the forms that people have them in, in small."""

import gzip
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import pixels, write_tree
from trees import encoded

from gift_jax.errors import GiftError
from gift_jax.readers.formats import read_images

NAMES = ("ant", "bee", "cat")
CIFAR10 = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]


def write_shards(root, label="label", names=NAMES, splits=("train", "test"), count=6, size=8, **columns):
    """Shards of a hub dataset, two a split, whose images are pixels(row, size); returns the root."""
    root.mkdir(parents=True, exist_ok=True)
    features = {label: {"names": names, "_type": "ClassLabel"}} if names else {}
    for split in splits:
        rows = [{"bytes": encoded(pixels(row, size)), "path": None} for row in range(count)]
        table = pa.table({"img": rows, label: [row % len(names or NAMES) for row in range(count)], **columns})
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        for part in range(2):
            half = table.slice(part * count // 2, count // 2)
            pq.write_table(half, root / f"{split}-{part:05d}-of-00002.parquet", row_group_size=2)
    return root


def write_arrays(root):
    root.mkdir(parents=True, exist_ok=True)
    images, labels = np.stack([pixels(row, 8) for row in range(6)]), np.arange(6) % 3
    np.savez(root / "all.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + b"".join(side.to_bytes(4, "big") for side in array.shape) + array.tobytes()


def write_mnist(root, count=20, *, zipped=True):
    """All four files, in small. Returns: (images [N, 28, 28], labels [N]) by prefix."""
    root.mkdir(parents=True, exist_ok=True)
    rng, splits = np.random.default_rng(0), {}
    for prefix in ("train", "t10k"):
        images, labels = rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % 10
        for name, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
            content = gzip.compress(idx(array)) if zipped else idx(array)
            (root / f"{name}{'.gz' if zipped else ''}").write_bytes(content)
        splits[prefix] = images, labels
    return splits


def write_cifar10(root, per_batch=10):
    """`cifar-10-batches-py` as its authors wrote it, in small; returns training and test images [N, 32, 32, 3]."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = {}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        data = rng.integers(0, 256, (per_batch, 3072), np.uint8)
        fields = {b"data": data, b"labels": list(range(10)), b"batch_label": b"x", b"filenames": [b"a.png"] * per_batch}
        (root / name).write_bytes(pickle.dumps(fields, protocol=2))
        images[name] = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    (root / "batches.meta").write_bytes(pickle.dumps({b"label_names": CIFAR10}, protocol=2))
    return np.concatenate([images[f"data_batch_{number}"] for number in range(1, 6)]), images["test_batch"]


def write_folders(root):
    for split in ("train", "test"):
        write_tree(root / split, NAMES, size=8)


FORMS = {
    "folders": write_folders,
    "parquet": write_shards,
    "arrays": write_arrays,
    "idx": write_mnist,
    "cifar": lambda root: write_cifar10(root / "cifar-10-batches-py"),
}


def zipped(root, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, f"top/{file.relative_to(root)}")
        archive.writestr("__MACOSX/top/._x.png", b"litter")


def tarred(mode):
    def write(root, path):
        with tarfile.open(path, mode) as archive:
            archive.add(root, "top")

    return write


CONTAINERS = {"x.zip": zipped, "x.tar": tarred("w"), "x.tar.gz": tarred("w:gz"), "x.tgz": tarred("w:gz")}


def refused(path, message, *, train=True, **options):
    """Assert that a source is refused in one sentence that names it."""
    with pytest.raises(GiftError, match=message) as caught:
        read_images(path, train=train, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
