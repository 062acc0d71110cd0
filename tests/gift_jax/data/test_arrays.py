"""Images and labels in an `.npz`, under the usual names."""

import numpy as np
import pytest

from gift_jax.data.arrays import read_npz
from gift_jax.data.transforms import open_image
from gift_jax.errors import GiftError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 5, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("names", [("x_test", "y_test"), ("images", "labels"), ("data", "targets"), ("x", "y")])
@pytest.mark.parametrize("channels", [1, 3])
def test_usual_names_are_understood(names, channels, tmp_path):
    images = IMAGES[..., :channels]
    np.savez(tmp_path / "a.npz", **{names[0]: images, names[1]: LABELS[:, None]})
    records = read_npz(tmp_path / "a.npz", train=False)
    np.testing.assert_array_equal(records.labels, LABELS)
    for row in range(len(images)):
        pixels = np.asarray(open_image(records.read(row), "here", channels)).reshape(5, 5, channels)
        np.testing.assert_array_equal(pixels, images[row])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES}, "holds pictures; name its images and labels one of x_test/y_test"),
        ({"x": IMAGES / 255, "y": LABELS}, r"images are float64\[6, 5, 5, 3\], expected uint8"),
        ({"x": IMAGES, "y": LABELS[:5]}, r"labels are int64\[5\], expected whole numbers \[6\]"),
        ({"x": IMAGES, "y": LABELS - 1}, "labels are -1 to 1, expected 0 to"),
        ({"x": IMAGES, "y": np.array(["a"] * 6)}, "expected whole numbers"),
    ],
)
def test_what_does_not_fit_is_one_sentence(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(GiftError, match=message):
        read_npz(tmp_path / "a.npz", train=False)


def test_objects_and_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}] * 6), y=LABELS)
    (tmp_path / "b.npz").write_bytes(b"something else")
    for name in ("a.npz", "b.npz"):
        with pytest.raises(GiftError, match=r"is no readable .npz"):
            read_npz(tmp_path / name, train=False)
    assert read_npz(tmp_path, train=False) is None
