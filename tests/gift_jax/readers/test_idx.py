"""IDX files, MNIST's format, gzipped or not."""

import numpy as np
import pytest
from sources import write_mnist

from gift_jax.data.evaluation import load_evaluation, load_training
from gift_jax.errors import GiftError
from gift_jax.readers.formats import read_images


@pytest.mark.parametrize("zipped", [True, False])
def test_both_splits_are_read(zipped, tmp_path):
    splits = write_mnist(tmp_path / "idx", zipped=zipped)
    found = load_evaluation("mnist", image_size=28, source=tmp_path / "idx", cache=tmp_path / "cache")
    np.testing.assert_array_equal(found.images[..., 0], splits["t10k"][0])
    np.testing.assert_array_equal(found.labels, splits["t10k"][1])
    training = load_training("mnist", image_size=28, source=tmp_path / "idx")
    np.testing.assert_array_equal(
        np.concatenate([images for images, _ in training.batches])[..., 0], splits["train"][0]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "should hold"),
        (lambda content: b"\x00\x00\x0d" + content[3:], "is no IDX file of bytes in 3 dimensions"),
        (lambda content: content[:7], "is no IDX file"),
    ],
)
def test_a_damaged_file_is_one_sentence(change, message, tmp_path):
    write_mnist(tmp_path, zipped=False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(GiftError, match=message) as caught:
        read_images(tmp_path, train=True)
    assert str(path) in str(caught.value)


def test_a_cut_gzip_file_and_a_missing_one_are_named(tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(GiftError, match="cannot be read"):
        read_images(tmp_path, train=True)
    path.unlink()
    with pytest.raises(GiftError, match="has no train-labels-idx1-ubyte beside"):
        read_images(tmp_path, train=True)


def test_a_file_alone_and_several_sets_are_one_sentence(tmp_path):
    write_mnist(tmp_path)
    with pytest.raises(GiftError, match="is one of several files that belong together"):
        read_images(tmp_path / "train-images-idx3-ubyte.gz", train=True)
    for part in ("images-idx3", "labels-idx1"):
        path = tmp_path / f"train-{part}-ubyte.gz"
        path.with_name(f"emnist-letters-train-{part}-ubyte.gz").write_bytes(path.read_bytes())
    with pytest.raises(GiftError, match="holds several sets"):
        read_images(tmp_path, train=True)
