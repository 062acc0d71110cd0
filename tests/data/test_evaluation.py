"""Real images: class folders, Tiny-ImageNet's layout, the cache of decoded images, missing and damaged data."""

import json
import shutil

import numpy as np
import pytest
from folders import expected, pixels, write_tree
from PIL import Image

from gift_jax.data import cache as cache_module
from gift_jax.data.class_order import read_class_order, write_class_order
from gift_jax.data.datasets import get_dataset
from gift_jax.data.digits import load_split
from gift_jax.data.evaluation import load_evaluation, load_training
from gift_jax.errors import GiftError

NUMBERS = [f"{label:05d}" for label in range(10)]
WNIDS = [f"n{1440764 + 1000 * label:08d}" for label in range(10)]
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def load(root, tmp_path, **options):
    return load_evaluation("cifar10", image_size=32, source=root, cache=tmp_path / "cache", **options)


@pytest.mark.parametrize("folders", [NUMBERS, WNIDS, NAMES, [str(label) for label in range(10)]])
def test_class_folders_are_read_in_their_order(folders, tmp_path):
    found = load(write_tree(tmp_path / "val", folders), tmp_path)
    images, labels = expected(range(10))
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.class_names == tuple(folders)


def test_a_class_order_file_orders_and_selects(tmp_path):
    """As a subset of ImageNet is read out of the whole: other folders are left alone."""
    root = write_tree(tmp_path / "val", [*NAMES, "zebra"])
    chosen = ["zebra", *NAMES[:0:-1]]
    write_class_order(tmp_path / "order.txt", chosen)
    assert read_class_order(tmp_path / "order.txt", 10) == tuple(chosen)
    found = load(root, tmp_path, class_order=tmp_path / "order.txt")
    np.testing.assert_array_equal(found.images[0], pixels(100 * 10))
    np.testing.assert_array_equal(found.images[2], pixels(100 * 9))
    assert found.class_names == tuple(chosen)


def test_tiny_imagenets_own_layout(tmp_path):
    root = tmp_path / "tiny-imagenet-200"
    wnids = [f"n{label:08d}" for label in range(200)]
    (root / "val" / "images").mkdir(parents=True)
    lines = []
    for number, label in enumerate(np.random.default_rng(0).permutation(200).tolist()):
        Image.fromarray(pixels(label, 64)).save(root / "val" / "images" / f"val_{number}.JPEG", quality=100)
        lines.append(f"val_{number}.JPEG\t{wnids[label]}\t0\t0\t63\t63\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("\n".join(reversed(wnids)))
    for place in (root, root / "val"):
        found = load_evaluation("tinyimagenet", image_size=64, source=place, cache=tmp_path / "cache")
        assert found.class_names == tuple(wnids)
        np.testing.assert_array_equal(found.labels, np.arange(200))
        number = next(i for i, line in enumerate(lines) if wnids[7] in line)
        with Image.open(root / "val" / "images" / f"val_{number}.JPEG") as image:
            np.testing.assert_array_equal(found.images[7], np.asarray(image))


@pytest.fixture
def decodes(monkeypatch):
    """Counts decoded images."""
    count, original = [0], cache_module.decoded

    def counting(records, transform):
        for image in original(records, transform):
            count[0] += 1
            yield image

    monkeypatch.setattr(cache_module, "decoded", counting)
    return count


def test_the_second_load_decodes_nothing(decodes, tmp_path):
    root = write_tree(tmp_path / "val", NUMBERS)
    first = load(root, tmp_path)
    assert decodes == [20]
    second = load(root, tmp_path)
    assert decodes == [20]
    assert isinstance(second.images, np.memmap)
    np.testing.assert_array_equal(first.images, second.images)


def test_a_changed_source_is_decoded_again(decodes, tmp_path):
    root = write_tree(tmp_path / "val", NUMBERS)
    load(root, tmp_path)
    Image.fromarray(pixels(4242)).save(root / "00003" / "000.png")
    np.testing.assert_array_equal(load(root, tmp_path).images[6], pixels(4242))
    assert decodes == [40]


@pytest.mark.parametrize("damage", ["truncate", "flip", "info"])
def test_a_damaged_cache_is_noticed_and_made_again(damage, decodes, tmp_path, capsys):
    root = write_tree(tmp_path / "val", NUMBERS)
    first = np.array(load(root, tmp_path).images)
    [place] = (tmp_path / "cache").iterdir()
    content = (place / "images.npy").read_bytes()
    if damage == "info":
        (place / "info.json").write_text(json.dumps({"format": "other"}))
    else:
        changed = content[:-5] if damage == "truncate" else content[:5000] + b"\x00\xff" + content[5002:]
        (place / "images.npy").write_bytes(changed)
    np.testing.assert_array_equal(load(root, tmp_path).images, first)
    assert decodes == [40]
    assert "damaged or changed; decoding again" in capsys.readouterr().err


def test_a_decoding_that_fails_leaves_nothing(tmp_path):
    root = write_tree(tmp_path / "val", NUMBERS)
    (root / "00007" / "001.png").write_bytes(b"not a picture")
    with pytest.raises(GiftError, match=r"00007/001\.png: is no readable image"):
        load(root, tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: shutil.rmtree(root / "00004"), "has 9 class folders, but cifar10 has 10 classes"),
        (lambda root: (root / "00004").rename(root / "00011"), "numbered class folders are not 0..9"),
        (lambda root: [path.unlink() for path in (root / "00004").iterdir()], "class '00004' has no images"),
        (shutil.rmtree, "no such directory"),
        (lambda root: Image.fromarray(pixels(0, 40)).save(root / "00000" / "000.png"), "is 40 x 40 pixels"),
    ],
    ids=["missing", "numbers", "empty", "none", "size"],
)
def test_wrong_trees_are_refused_in_one_sentence(change, message, tmp_path):
    root = write_tree(tmp_path / "val", NUMBERS)
    change(root)
    with pytest.raises(GiftError, match=message) as caught:
        load(root, tmp_path)
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value)


def test_a_class_order_that_names_a_missing_folder_is_refused(tmp_path):
    root = write_tree(tmp_path / "val", NUMBERS)
    write_class_order(tmp_path / "order.txt", [*NUMBERS[:9], "zebra"])
    with pytest.raises(GiftError, match="has no class folder 'zebra'"):
        load(root, tmp_path, class_order=tmp_path / "order.txt")


def test_missing_data_says_where_it_is_published(tmp_path):
    with pytest.raises(GiftError, match=r"missing \(https://www.image-net.org\); give --data DIRECTORY"):
        load_evaluation("imagenet-1k", image_size=224)


def test_training_images_come_in_batches_and_in_order(tmp_path):
    root = write_tree(tmp_path / "train", NUMBERS, per_class=3)
    training = load_training("cifar10", image_size=32, source=root)
    images, labels = (np.concatenate(parts) for parts in zip(*training.batches, strict=True))
    np.testing.assert_array_equal(images, expected(range(10), per_class=3)[0])
    np.testing.assert_array_equal(labels, training.labels)
    digits = load_training("digits", image_size=8)
    np.testing.assert_array_equal(np.concatenate([b for b, _ in digits.batches]), load_split().train_images)


def test_the_digits_need_no_source_but_their_size():
    assert len(load_evaluation("digits", image_size=8).labels) == 602
    with pytest.raises(GiftError, match="8 pixels a side, not 32"):
        load_evaluation("digits", image_size=32)


def test_every_dataset_says_where_it_is_published():
    assert all(get_dataset(name).home for name in ("digits", "cifar10", "imagenet-woof"))
