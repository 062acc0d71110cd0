"""Class folders of images, as SRe2L, CDA, G-VBSM and RDED write them, and ImageFolder trees of the user's own."""

import numpy as np
import pytest
import torch
from trees import NAMES, RDED, assert_same, encoded, expected, pixels, tree, write

from convert.vision import load_torchvision_models
from gift_jax.readers.class_names import NETTE, WOOF
from gift_jax.runtime.files import sha256_tree

load_torchvision_models()
from torchvision import datasets, transforms, utils  # noqa: E402 (only now does it import)

OPTIONS = ("--method", "rded", "--dataset", "imagenet-nette", "--ipc", "2")
WNIDS = [*NETTE[2:0:-1], *NETTE[3:], NETTE[0]]  # in an order that is not sorted


def own_tree(names, pattern="{folder}/{number}.png", ipc=2):
    images = iter(pixels(len(names) * ipc))
    return {
        pattern.format(folder=folder, number=number): encoded(next(images)) for folder in names for number in range(ipc)
    }


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("ipc", [1, 3])
def test_released_trees_come_back_in_sorted_order(method, ipc, imported, tmp_path):
    files = tree(NAMES[method], side=16)
    arguments = ("--method", method, "--dataset", "cifar10", "--ipc", ipc)
    distilled = imported(write(tmp_path / "SYN", files), *arguments)
    assert_same(distilled, *expected(files, ipc))
    assert (distilled.pixel_space, distilled.method, distilled.ipc) == ("raw", method, ipc)
    assert f"the first {ipc} of each class, in sorted order of file names" in distilled.provenance["subset"]
    assert "Pillow" in distilled.provenance["decoder"]
    assert distilled.provenance["classes"] == "the folders' numbers"


def test_two_runs_over_files_in_another_order_give_the_same_digest(imported, tmp_path):
    files = tree()
    there = imported(write(tmp_path / "a", files), *RDED)
    back = imported(write(tmp_path / "b", dict(reversed(files.items()))), *RDED)
    assert_same(back, there.images, there.labels)
    assert back.provenance["sha256"] == there.provenance["sha256"] == sha256_tree(tmp_path / "a")


@pytest.mark.parametrize("pattern", ["{folder}/{number}.png", "train/{folder}/images/{folder}_{number}.png"])
def test_own_folders_are_classes_in_sorted_order(pattern, imported, tmp_path):
    files = own_tree(WNIDS, pattern)
    distilled = imported(write(tmp_path / "own", files), *OPTIONS)
    assert_same(distilled, *expected(files, 2))
    assert distilled.provenance["classes"] == "folders by the names of imagenet-nette"
    assert distilled.class_names == tuple(sorted(WNIDS))


def test_a_class_order_file_decides(imported, tmp_path):
    files = own_tree(WNIDS)
    order = tmp_path / "order.txt"
    order.write_text("# as the teacher has them\n\n" + "\n".join(WNIDS))
    distilled = imported(write(tmp_path / "own", files), *OPTIONS, "--class-order", order)
    images, labels = expected(files, 2)
    rank = np.argsort(np.argsort(WNIDS))
    assert_same(distilled, images.reshape(10, 2, 8, 8, 3)[rank].reshape(20, 8, 8, 3), labels)
    assert "order.txt, SHA-256" in distilled.provenance["classes"]
    assert distilled.class_names == tuple(WNIDS)


def test_grey_datasets_are_read_as_grey(imported, tmp_path):
    files = {f"{label}/0.png": encoded(pixels(10)[label, ..., 0]) for label in range(10)}
    distilled = imported(write(tmp_path / "x", files), "--method", "random", "--dataset", "digits", "--ipc", "1")
    assert_same(distilled, pixels(10)[..., :1], np.arange(10))


def without(files, part):
    return {name: content for name, content in files.items() if part not in name}


BAD = {
    "a class missing": (lambda files: without(files, "new004/"), "class 4 has 0 folders"),
    "too few images": (lambda files: without(files, "class007_id002"), "class 7 ('new007') has 2 images, but --ipc"),
    "an image beside": (lambda files: {**files, "x.png": encoded(pixels(1)[0])}, "'x.png' is in no class folder"),
    "one folder": (lambda files: {name[7:]: content for name, content in files.items()}, "is in no class folder"),
    "no images": (lambda files: {"read.me": b""}, "not understood"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_trees_that_are_not_the_dataset_are_refused(change, message, refused, tmp_path):
    folder = write(tmp_path / "SYN", change(tree()))
    refused("distilled", folder, *RDED[:-1], "3", message=message)


def test_one_folder_may_be_linked_from_two(imported, tmp_path):
    image = write(tmp_path / "shared", {"x.png": encoded(pixels(1)[0])})
    for number in range(10):
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / str(number)).symlink_to(image)
    np.testing.assert_array_equal(imported(tmp_path / "own", *RDED[:4]).labels, np.arange(10))


def test_of_several_splits_an_option_says_which(imported, refused, tmp_path):
    train, test = tree(ipc=2), tree(ipc=2, side=4)
    folder = write(tmp_path / "x", {f"train/{name}": content for name, content in train.items()})
    write(folder, {f"val/{name}": content for name, content in test.items()})
    refused("distilled", folder, *RDED, message="several splits (train, validation); say which by --split")
    refused("distilled", folder, *RDED, "--split", "test", message="has no split 'test', it holds")
    assert_same(imported(folder, *RDED, "--split", "train"), *expected(train, 2))
    distilled = imported(folder, *RDED, "--split", "val")
    assert_same(distilled, *expected(test, 2))
    assert distilled.provenance["split"] == "validation"


def test_a_class_may_have_the_name_of_a_split(imported, tmp_path):
    files = own_tree(["train", "bus", "car", "cat", "dog", "sheep", "cow", "horse", "boat", "test"])
    order = tmp_path / "order.txt"
    order.write_text("\n".join(sorted({name.split("/")[0] for name in files})))
    assert_same(imported(write(tmp_path / "own", files), *OPTIONS, "--class-order", order), *expected(files, 2))


def generated(folder, names, ipc=2, side=24):
    """As Minimax's and CaO2's `sample.py` write them: decoded latents from -1 to 1, `WNID/NUMBER.png`."""
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(ipc):
            image = torch.rand(3, side, side, generator=torch.Generator().manual_seed(100 * label + number)) * 2 - 1
            utils.save_image(image, folder / name / f"{number}.png", normalize=True, value_range=(-1, 1))
    return folder


def resized(folder, size):
    """What Minimax's reader trains on before augmentation, and IDC's: `ImageFolder` with a resize and a crop."""
    transform = transforms.Compose([transforms.Resize(size), transforms.CenterCrop(size), transforms.PILToTensor()])
    images, labels = zip(*datasets.ImageFolder(folder, transform), strict=True)
    return torch.stack(images).permute(0, 2, 3, 1).numpy(), np.array(labels)


IN_ORDER = sorted(WOOF)


@pytest.mark.parametrize("method", ["minimax", "d3hr", "cao2"])
def test_generated_images_are_resized_as_the_authors_reader_does(method, convert, imported, tmp_path):
    folder = generated(tmp_path / "set", IN_ORDER)
    arguments = (folder, "--method", method, "--dataset", "imagenet-woof", "--image-size", "16")
    distilled = imported(*arguments)
    assert_same(distilled, *resized(folder, 16))
    assert distilled.provenance["resized"].startswith("from 24 to 16 pixels")
    said = convert("distilled", *arguments, "--out", tmp_path / "x")[1]
    assert "resized: from 24 to 16 pixels" in said
    assert "class 0 ('n02086240'): 2 images, of 10 classes" in said


def test_generated_images_have_the_dataset_s_size_unless_told(imported, tmp_path):
    folder = generated(tmp_path / "set", IN_ORDER, ipc=1, side=256)
    assert_same(imported(folder, "--method", "minimax", "--dataset", "imagenet-woof"), *resized(folder, 224))
    stored = imported(folder, "--method", "minimax", "--dataset", "imagenet-woof", "--image-size", "256")
    assert "resized" not in stored.provenance
    assert_same(stored, *resized(folder, 256))
    assert imported(folder, "--method", "sre2l", "--dataset", "imagenet-woof").image_shape == (256, 256, 3)


def test_cao2_s_images_from_before_optimisation_do_not_count(imported, refused, tmp_path):
    folder = generated(tmp_path / "set", [*IN_ORDER, *(f"{name}_ss" for name in IN_ORDER)], ipc=1)
    arguments = ("--dataset", "imagenet-woof", "--image-size", "16")
    distilled = imported(folder, "--method", "cao2", *arguments)
    assert_same(distilled, resized(folder, 16)[0][::2], np.arange(10))
    assert distilled.provenance["left out"] == "10 folders of images before optimisation (*_ss)"
    message = "'n02086240_ss', which is no class of imagenet-woof"
    refused("distilled", folder, "--method", "minimax", *arguments, message=message)
