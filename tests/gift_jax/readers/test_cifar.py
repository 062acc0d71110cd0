"""CIFAR's own files: read as they come, and nothing that they hold is run."""

import pickle

import numpy as np
import pytest
from fuzzing import Payload, loads_or_is_refused
from sources import CIFAR10, refused, write_cifar10

from gift_jax.data.evaluation import load_evaluation, load_training
from gift_jax.readers.formats import read_images


@pytest.fixture
def written(tmp_path):
    """Training and test images, and the directory that they lie in."""
    return *write_cifar10(tmp_path / "cifar-10-batches-py"), tmp_path / "cifar-10-batches-py"


@pytest.mark.parametrize("has_names", [True, False])
def test_both_splits_are_read_with_their_names(has_names, written, tmp_path):
    train, test, root = written
    if not has_names:  # they are the usual ones
        (root / "batches.meta").unlink()
    found = load_evaluation("cifar10", image_size=32, source=tmp_path, cache=tmp_path / "cache")
    np.testing.assert_array_equal(found.images, test)
    np.testing.assert_array_equal(found.labels, np.arange(10))
    assert found.class_names == tuple(name.decode() for name in CIFAR10)
    images = [batch for batch, _ in load_training("cifar10", image_size=32, source=tmp_path).batches]
    np.testing.assert_array_equal(np.concatenate(images), train)


def test_cifar100_has_its_fine_labels(tmp_path):
    names = [f"fine {label}".encode() for label in range(100)]
    data = np.arange(2 * 3072, dtype=np.int64).astype(np.uint8).reshape(2, 3072)
    fields = {b"data": data, b"fine_labels": [3, 99], b"coarse_labels": [0, 1]}
    for name, content in (("train", fields), ("test", fields), ("meta", {b"fine_label_names": names})):
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol=2))
    records = read_images(tmp_path, train=True)
    assert records.labels.tolist() == [3, 99]
    assert records.class_names[99] == "fine 99"


@pytest.mark.parametrize("name", ["batches.meta", "data_batch_3"])
def test_nothing_that_a_file_holds_is_run(name, written):
    (written[2] / name).write_bytes(pickle.dumps({b"data": Payload(), b"label_names": Payload()}))
    assert loads_or_is_refused(lambda: read_images(written[2], train=True)) is None  # which looks whether it was run
    refused(written[2], rf"{name}: is no file of CIFAR \(it asks for posix.system\)")


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({b"x": 1})])
def test_a_damaged_file_is_one_sentence(content, written):
    (written[2] / "test_batch").write_bytes(content)
    refused(written[2], r"test_batch: is no file of CIFAR \(.*\); take it from the source again", train=False)


@pytest.mark.usefixtures("written")
def test_both_in_one_directory_are_refused(tmp_path):
    (tmp_path / "cifar-100-python").mkdir()
    for name in ("meta", "train", "test"):
        (tmp_path / "cifar-100-python" / name).write_bytes(b"")
    refused(tmp_path, "give the directory of one of the two")
