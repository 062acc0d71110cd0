"""Images and labels in an `.npz`, under the usual names."""

import numpy as np
import pytest
from sources import refused

from gift_jax.data.transforms import open_image
from gift_jax.readers.formats import read_images
from gift_jax.readers.request import SourceOptions

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 5, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("names", [("x_test", "y_test"), ("images", "labels"), ("data", "targets"), ("x", "y")])
@pytest.mark.parametrize("channels", [1, 3])
def test_usual_names_are_understood(names, channels, tmp_path):
    images = IMAGES[..., :channels]
    np.savez(tmp_path / "a.npz", **{names[0]: images, names[1]: LABELS[:, None]})
    records = read_images(tmp_path / "a.npz", train=False)
    np.testing.assert_array_equal(records.labels, LABELS)
    for row in range(len(images)):
        pixels = np.asarray(open_image(records.read(row), "here", channels)).reshape(5, 5, channels)
        np.testing.assert_array_equal(pixels, images[row])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES}, "holds 'pictures', expected images and labels by usual names"),
        ({"x": IMAGES / 255, "y": LABELS}, r"images are float64\[6, 5, 5, 3\], expected uint8"),
        ({"x": IMAGES, "y": LABELS[:5]}, "has 6 images and 5 labels; take both from one set"),
        ({"x": IMAGES, "y": LABELS - 1}, "has a label -1, expected 0"),
        ({"x": IMAGES, "y": np.array(["a"] * 6)}, "expected class ids"),
        ({"x": np.array([{}] * 6), "y": LABELS}, "holds Python objects, which are not loaded"),
    ],
)
def test_what_does_not_fit_is_one_sentence(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", message, train=False)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "b.npz").write_bytes(b"something else")
    refused(tmp_path / "b.npz", "is none of the files", train=False)


def test_one_hot_rows_and_other_axes_are_understood(tmp_path):
    np.savez(tmp_path / "a.npz", x=IMAGES.transpose(0, 3, 1, 2), y=np.eye(3)[LABELS])
    records = read_images(tmp_path / "a.npz", train=True)
    np.testing.assert_array_equal(records.labels, LABELS)
    np.testing.assert_array_equal(np.asarray(open_image(records.read(4), "here", 3)), IMAGES[4])


def test_pairs_of_npy_keep_their_splits_apart(tmp_path):
    for split, images in (("train", IMAGES), ("test", IMAGES[:3])):
        np.save(tmp_path / f"{split}_images.npy", images)
        np.save(tmp_path / f"{split}_labels.npy", LABELS[: len(images)])
    assert [len(read_images(tmp_path, train=train).labels) for train in (True, False)] == [6, 3]


def test_an_npz_of_test_images_alone_trains_by_an_option(tmp_path):
    np.savez(tmp_path / "a.npz", x_test=IMAGES, y_test=LABELS)
    assert len(read_images(tmp_path / "a.npz", train=True, reading=SourceOptions(split="test")).labels) == 6
