"""Real images as training sets."""

import numpy as np
import pytest
from folders import pixels, write_tree

from experiments.common.inputs import load_real
from experiments.label_quality import LabelQuality
from gift_jax import GiftError


def test_draws_are_training_digits_and_another_one_for_each_seed():
    real = load_real(LabelQuality(), 8)
    draws = [real.draw(3, seed) for seed in (0, 1)]
    training = {image.tobytes() for image in real.everything().images}
    for drawn in draws:
        np.testing.assert_array_equal(drawn.labels, np.repeat(np.arange(10), 3))
        images = {image.tobytes() for image in drawn.images}
        assert len(images) == 30
        assert images <= training
    assert not np.array_equal(*(drawn.images for drawn in draws))
    np.testing.assert_array_equal(draws[0].images, real.draw(3, 0).images)
    with pytest.raises(GiftError, match=r"--ipc must be at most \d+, the real images of class \d, not 500"):
        real.draw(500, 0)


def test_real_sets_are_drawn_from_their_files(tmp_path):
    folders = [f"{label:05d}" for label in range(10)]
    source = write_tree(tmp_path / "train", folders, per_class=3)
    real = load_real(LabelQuality(dataset="cifar10", model="conv3", train_data=str(source)), 32)
    drawn = real.draw(2, seed=0)
    assert drawn.images.shape == (20, 32, 32, 3)
    originals = {pixels(100 * label + number).tobytes(): label for label in range(10) for number in range(3)}
    assert [originals[image.tobytes()] for image in drawn.images] == drawn.labels.tolist()
    assert len(real.everything().labels) == 30


def test_real_training_images_that_are_missing_are_asked_for():
    with pytest.raises(GiftError, match="--train-data"):
        load_real(LabelQuality(dataset="cifar10", model="conv3"), 32)
