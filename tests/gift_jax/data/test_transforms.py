"""Test images equal torchvision's transforms, bit for bit, on real files."""

import io

import numpy as np
import pytest
from PIL import Image

from gift_jax.data.datasets import get_dataset
from gift_jax.data.transforms import TrainingTransform, Transform, center_crop, make_transform, random_box, resized_crop
from gift_jax.errors import GiftError

SIZES = [(500, 375), (375, 500), (224, 224), (301, 256), (256, 301), (97, 61), (61, 97), (1000, 130), (33, 32)]


def picture(width, height, mode="RGB", seed=0):
    """Noise, smoothed a little as photographs are."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encoded(image, kind):
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.fixture(scope="module")
def transforms():
    pytest.importorskip("torch")
    from convert.vision import load_torchvision_models

    load_torchvision_models()
    import torchvision.transforms

    return torchvision.transforms


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dataset", "image_size", "resized"), [
    ("imagenet-1k", 224, 256), ("imagenet-1k", 64, 73), ("imagenet-nette", 128, 146), ("imagenet-100", 128, 146),
])  # fmt: skip
def test_pixels_equal_torchvisions(transforms, size, dataset, image_size, resized):
    content = encoded(picture(*size), "JPEG")
    theirs = transforms.Compose([transforms.Resize(resized), transforms.CenterCrop(image_size)])
    expected = np.asarray(theirs(Image.open(io.BytesIO(content)).convert("RGB")))
    np.testing.assert_array_equal(make_transform(get_dataset(dataset), image_size)(content, "x"), expected)


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "PNG"), ("P", "PNG"), ("1", "PNG")]
)
def test_other_modes_equal_torchvisions(transforms, mode, kind):
    content = encoded(picture(77, 99, mode), kind)
    theirs = transforms.Compose([transforms.Resize(73), transforms.CenterCrop(64)])
    expected = np.asarray(theirs(Image.open(io.BytesIO(content)).convert("RGB")))
    np.testing.assert_array_equal(Transform(73, 64, 3)(content, "x"), expected)


@pytest.mark.parametrize("size", [(30, 50), (50, 30), (31, 31), (64, 40)])
def test_crops_of_small_images_are_padded_as_torchvisions(transforms, size):
    expected = transforms.CenterCrop(40)(picture(*size))
    np.testing.assert_array_equal(np.asarray(center_crop(picture(*size), 40)), np.asarray(expected))


@pytest.mark.parametrize("dataset", ["cifar10", "tinyimagenet"])
def test_small_images_are_taken_as_they_are(dataset):
    spec = get_dataset(dataset)
    image = picture(spec.image_size, spec.image_size)
    transform = make_transform(spec, spec.image_size)
    np.testing.assert_array_equal(transform(encoded(image, "PNG"), "x"), np.asarray(image))
    with pytest.raises(GiftError, match=r"x\.png: is 40 x 40 pixels, expected"):
        transform(encoded(picture(40, 40), "PNG"), "x.png")


class TorchDraws:
    """PyTorch's draws, in the place of a NumPy generator."""

    def __init__(self, seed):
        self._torch = pytest.importorskip("torch")
        self._torch.manual_seed(seed)

    def uniform(self, low, high):
        return self._torch.empty(1).uniform_(low, high).item()

    def integers(self, high):
        return self._torch.randint(0, high, size=(1,)).item()


# Of the last ones no box fits within ten draws, always or often: the middle is taken.
@pytest.mark.parametrize("size", [(500, 375), (64, 64), (61, 97), (3, 2), (400, 100), (1000, 20), (20, 1000)])
def test_boxes_of_random_crops_equal_torchvisions_given_its_draws(transforms, size):
    image, by_default = Image.new("L", size), transforms.RandomResizedCrop(64)
    for seed in range(300):
        found = random_box(*size, TorchDraws(seed))
        TorchDraws(seed)
        assert found == tuple(by_default.get_params(image, by_default.scale, by_default.ratio)), seed


@pytest.mark.parametrize("size", SIZES)
def test_pixels_of_random_crops_equal_torchvisions(transforms, size):
    image, rng = picture(*size), np.random.default_rng(0)
    for box in (random_box(*size, rng) for _ in range(5)):
        theirs = transforms.functional.resized_crop(image, *box, [64, 64])
        np.testing.assert_array_equal(np.asarray(resized_crop(image, box, 64)), np.asarray(theirs))


@pytest.mark.parametrize("crop", [True, False])
def test_the_training_transform_is_decided_by_its_generator(crop):
    content = encoded(picture(120, 90), "JPEG")
    transform = TrainingTransform(Transform(73, 64, 3), crop=crop)
    images = [transform(content, "x", rng=np.random.default_rng((4, 2, seed))) for seed in [*range(40), 0]]
    np.testing.assert_array_equal(images[0], images[-1])
    assert {(image.shape, image.dtype.name) for image in images} == {((64, 64, 3), "uint8")}
    # Without crops an image has two faces, and both come up.
    assert len({image.tobytes() for image in images}) == (40 if crop else 2)
    plain = TrainingTransform(Transform(73, 64, 3), crop=crop, flip=False)
    faces = [plain(content, "x", rng=np.random.default_rng((4, 2, seed))) for seed in range(40)]
    mirrored = [not np.array_equal(*pair) for pair in zip(images, faces, strict=False)]
    for image, face, is_mirrored in zip(images, faces, mirrored, strict=False):
        np.testing.assert_array_equal(image[:, ::-1] if is_mirrored else image, face)
    assert 10 < sum(mirrored) < 30


def test_a_grey_image_keeps_its_channel():
    transform = TrainingTransform(Transform(None, 16, 1))
    assert transform(encoded(picture(40, 30, "L"), "PNG"), "x", rng=np.random.default_rng(0)).shape == (16, 16, 1)
