"""Real images: class folders, Tiny-ImageNet's layout, the cache of decoded images, missing and damaged data."""

import json
from concurrent.futures import ThreadPoolExecutor, wait
from unittest import mock

import numpy as np
import pytest
from folders import expected, pixels, write_tree
from PIL import Image

from gift_jax.data import cache as cache_module
from gift_jax.data.digits import load_split
from gift_jax.data.evaluation import EvaluationSet, load_evaluation, load_training
from gift_jax.errors import GiftError
from gift_jax.readers.classes import write_class_order
from gift_jax.runtime.files import atomic_write, locked

NUMBERS = [f"{label:05d}" for label in range(10)]
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def root(tmp_path):
    return write_tree(tmp_path / "val", NUMBERS)


def load(root, tmp_path, **options):
    return load_evaluation("cifar10", image_size=32, source=root, cache=tmp_path / "cache", **options)


def test_class_folders_are_read_in_their_order(tmp_path):
    """Of names and numbers: test_classes.py."""
    found = load(write_tree(tmp_path / "val", NAMES), tmp_path)
    images, labels = expected(range(10))
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.class_names == tuple(NAMES)


@pytest.fixture
def decodes(monkeypatch):
    """Counts how often images were decoded."""
    spy = mock.Mock(wraps=cache_module.decoded)
    monkeypatch.setattr(cache_module, "decoded", spy)
    return spy


def test_the_second_load_decodes_nothing_unless_the_source_was_changed(root, decodes, tmp_path):
    first, second = load(root, tmp_path), load(root, tmp_path)
    assert decodes.call_count == 1
    assert isinstance(second.images, np.memmap)
    np.testing.assert_array_equal(first.images, second.images)
    Image.fromarray(pixels(4242)).save(root / "00003" / "000.png")
    np.testing.assert_array_equal(load(root, tmp_path).images[6], pixels(4242))
    assert decodes.call_count == 2


def only_cache(tmp_path):
    """The one set of decoded images that there is."""
    [place] = (tmp_path / "cache").iterdir()
    return place


def test_another_class_order_decodes_nothing(decodes, tmp_path):
    root = write_tree(tmp_path / "val", NAMES)
    load(root, tmp_path)
    write_class_order(tmp_path / "order.txt", NAMES[::-1])
    found = load(root, tmp_path, class_order=tmp_path / "order.txt")
    assert decodes.call_count == 1
    rows = np.argsort(found.labels, kind="stable")
    np.testing.assert_array_equal(found.images[rows], expected(range(9, -1, -1))[0])
    only_cache(tmp_path)


def test_of_several_at_once_one_sweeps_what_was_left_unfinished_and_decodes(root, decodes, tmp_path):
    unfinished = atomic_write(tmp_path / "cache" / "images")
    unfinished.__enter__().write_bytes(b"half")
    with ThreadPoolExecutor(3) as pool:
        with locked(tmp_path / "cache", "another process decodes"):
            loads = [pool.submit(load, root, tmp_path) for _ in range(3)]
            wait(loads, timeout=0.5)  # for them to come as far as they may
            assert decodes.call_count == 0
        assert [len(one.result().labels) for one in loads] == [20] * 3
    assert decodes.call_count == 1
    only_cache(tmp_path)


def test_a_disk_that_is_too_small_is_said_before_decoding(root, decodes, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 20 * 32 * 32 * 3 - 1})())
    with pytest.raises(GiftError, match=r"cache: the decoded images take 0\.00 GB, and 0\.00 GB are free there"):
        load(root, tmp_path)
    assert decodes.call_count == 0


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_nothing(root, full_disk, tmp_path):
    with full_disk(1000), pytest.raises(GiftError, match="File too large; check the path"):
        load(root, tmp_path)
    assert [*tmp_path.glob("cache/*")] == []
    assert len(load(root, tmp_path).labels) == 20


@pytest.mark.parametrize("damage", ["truncate", "flip", "info", "no images", "no json"])
def test_a_damaged_cache_is_noticed_and_made_again(root, damage, decodes, tmp_path, capsys):
    first = np.array(load(root, tmp_path).images)
    place = only_cache(tmp_path)
    images, info = place / "images.npy", place / "info.json"
    content = images.read_bytes()
    {
        "truncate": lambda: images.write_bytes(content[:-5]),
        "flip": lambda: images.write_bytes(content[:5000] + b"\x00\xff" + content[5002:]),
        "info": lambda: info.write_text(json.dumps({"format": "other"})),
        "no images": images.unlink,
        "no json": lambda: info.write_text("{"),
    }[damage]()
    capsys.readouterr()
    np.testing.assert_array_equal(load(root, tmp_path).images, first)
    assert decodes.call_count == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("decoding: ")]
    assert lines == [f"{place}: these decoded images were damaged or changed; decoding again"]


def test_a_decoding_that_fails_leaves_nothing(root, tmp_path):
    (root / "00007" / "001.png").write_bytes(b"not a picture")
    with pytest.raises(GiftError, match=r"00007/001\.png: is no readable image"):
        load(root, tmp_path)
    assert [*tmp_path.glob("cache/*")] == []


def test_missing_data_says_where_it_is_published(tmp_path):
    with pytest.raises(GiftError, match=r"missing \(https://www.image-net.org\); give a directory"):
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


def test_whitened_test_images_are_finite():
    images, labels = np.full((2, 8, 8, 1), np.nan, np.float32), np.zeros(2, np.int32)
    with pytest.raises(GiftError, match="hold values that are not finite"):
        EvaluationSet(images, labels, "digits", "zca")
