"""IDX files, MNIST's format, gzipped or not."""

import numpy as np
import pytest
from sources import refused, write_mnist

from gift_jax.data.evaluation import load_evaluation, load_training


@pytest.mark.parametrize("zipped", [True, False])
def test_both_splits_are_read(zipped, tmp_path):
    splits = write_mnist(tmp_path / "idx", zipped=zipped)
    found = load_evaluation("mnist", image_size=28, source=tmp_path / "idx", cache=tmp_path / "cache")
    np.testing.assert_array_equal(found.images[..., 0], splits["t10k"][0])
    np.testing.assert_array_equal(found.labels, splits["t10k"][1])
    training = [images for images, _ in load_training("mnist", image_size=28, source=tmp_path / "idx").batches]
    np.testing.assert_array_equal(np.concatenate(training)[..., 0], splits["train"][0])


def edited(change):
    def edit(root):
        path = root / "train-images-idx3-ubyte"
        path.write_bytes(change(path.read_bytes()))

    return edit


def doubled(root):
    for path in [*root.glob("train-*")]:
        path.with_name(f"emnist-letters-{path.name}").write_bytes(path.read_bytes())


BAD = {
    "cut": (edited(lambda content: content[:-1]), "train-images-idx3-ubyte: should hold"),
    "of floats": (edited(lambda content: b"\x00\x00\x0d" + content[3:]), "is no IDX file of bytes in 3 dimensions"),
    "no header": (edited(lambda content: content[:7]), "train-images-idx3-ubyte: is no IDX file"),
    "missing": (lambda root: (root / "train-labels-idx1-ubyte").unlink(), "has no train-labels-idx1-ubyte beside"),
    "several sets": (doubled, "holds several sets"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_one_sentence(change, message, tmp_path):
    write_mnist(tmp_path, zipped=False)
    change(tmp_path)
    refused(tmp_path, message)


def test_a_cut_gzip_file_and_a_file_alone_are_one_sentence(tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    refused(path, "is one of several files that belong together")
    path.write_bytes(path.read_bytes()[:-9])
    refused(tmp_path, f"{path} cannot be read")
