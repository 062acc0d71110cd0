"""TensorFlow Datasets through its real reading code, on a dataset prepared on disk; without TensorFlow."""

import io
import sys

import numpy as np
import pytest
from folders import pixels
from sources import CIFAR10
from trees import encoded

from gift_jax.data.batches import Order
from gift_jax.data.datasets import get_dataset
from gift_jax.data.evaluation import load_evaluation, load_training
from gift_jax.data.record_set import RecordSet, decoded_batches
from gift_jax.data.transforms import TrainingTransform, Transform
from gift_jax.errors import GiftError
from gift_jax.readers.tfds import read_tfds

NAMES = [name.decode() for name in CIFAR10]


@pytest.fixture
def prepared(tmp_path):
    """cifar10 in array_record files, 20 test and 30 training images, as its own writer leaves it."""
    tfds = pytest.importorskip("tensorflow_datasets")
    directory = tmp_path / "cifar10" / "3.0.2"
    directory.mkdir(parents=True)
    features = {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(names=NAMES),
    }
    identity = tfds.core.DatasetIdentity(
        name="cifar10", version=tfds.core.Version("3.0.2"), data_dir=str(directory), module_name="cifar"
    )
    info = tfds.core.DatasetInfo(builder=identity, features=tfds.features.FeaturesDict(features))
    writer = tfds.core.SequentialWriter(
        info, max_examples_per_shard=15, overwrite=True, file_format=tfds.core.FileFormat.ARRAY_RECORD
    )
    writer.initialize_splits(["test", "train"])
    for split, first, count in (("test", 0, 20), ("train", 100, 30)):
        rows = [(i, io.BytesIO(encoded(pixels(i)))) for i in range(first, first + count)]
        writer.add_examples({split: [{"id": str(i), "image": image, "label": i % 7} for i, image in rows]})
    writer.close_all()
    return tmp_path


def test_evaluation_images_are_read(prepared, tmp_path):
    found = load_evaluation("cifar10", image_size=32, source=f"tfds:{prepared}", cache=tmp_path / "cache")
    np.testing.assert_array_equal(found.images, np.stack([pixels(i) for i in range(20)]))
    np.testing.assert_array_equal(found.labels, np.arange(20) % 7)
    assert found.class_names == tuple(NAMES)
    assert "tensorflow" not in sys.modules


def test_what_is_not_prepared_says_how_to_prepare_it(prepared, tmp_path):
    with pytest.raises(GiftError, match="tfds build imagenette --file_format=array_record") as caught:
        read_tfds(get_dataset("imagenet-nette"), tmp_path)
    assert "\n" not in str(caught.value)
    assert f"(nothing at {tmp_path / 'imagenette'}" in str(caught.value)
    with pytest.raises(GiftError, match="TensorFlow Datasets has no tinyimagenet"):
        read_tfds(get_dataset("tinyimagenet"), tmp_path)


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.999])
def test_files_that_were_cut_are_one_sentence(share, prepared, tmp_path):
    path = prepared / "cifar10" / "3.0.2" / "cifar10-test.array_record-00001"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = r"cifar10:test\[1?\d\]: a file .* is damaged .* by `tfds build cifar10 "
    with pytest.raises(GiftError, match=message) as caught:
        load_evaluation("cifar10", image_size=32, source=f"tfds:{prepared}", cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_a_class_order_does_not_go_with_it(prepared, tmp_path):
    (tmp_path / "order.txt").write_text("\n".join(NAMES))
    with pytest.raises(GiftError, match="drop it"):
        load_evaluation("cifar10", image_size=32, source="tfds", class_order=tmp_path / "order.txt")


def test_training_images_are_the_other_split_which_processes_decode_too(prepared):
    training = load_training("cifar10", image_size=32, source=f"tfds:{prepared}")
    expected = np.stack([pixels(i) for i in range(100, 130)])
    np.testing.assert_array_equal(np.concatenate([images for images, _ in training.batches]), expected)
    shown = TrainingTransform(Transform(None, 32, 3), crop=False, flip=False)
    order = Order(lambda epoch: np.arange(30)[None, ::-1], 30, 1, 0, 1)
    [batch] = decoded_batches(RecordSet(training.records, shown, "cifar10", 1), order, [(1, 2)])
    np.testing.assert_array_equal(batch.images[0], expected[::-1])
    np.testing.assert_array_equal(batch.labels[0], np.arange(129, 99, -1) % 7)
