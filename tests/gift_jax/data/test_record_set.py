"""Training images that are decoded on the fly: order, draws, processes that end."""

import dataclasses
import functools
import os

import numpy as np
import pytest
from folders import write_tree
from setups import INFO

from gift_jax.data.batches import Order
from gift_jax.data.datasets import get_dataset
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.record_set import RecordSet, decoded_batches, permutation
from gift_jax.data.transforms import TrainingTransform, Transform
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec, get_model
from gift_jax.readers.formats import read_images
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import train

CLASSES = [f"{label:05d}" for label in range(10)]
WORDS = [(3, 4), (5, 6)]


@pytest.fixture(scope="module")
def record_set(tmp_path_factory):
    root = write_tree(tmp_path_factory.mktemp("train"), CLASSES, per_class=2)
    records = read_images(root, train=True, spec=get_dataset("cifar10"))
    return RecordSet(records, TrainingTransform(Transform(None, 32, 3)), "cifar10")


def make_order(first=0, words=WORDS):
    """Epochs of 20 images in batches of 8, 8 and 4, up to the third."""
    return Order(functools.partial(permutation, words, 20), 8, 3, first, 3)


def test_every_image_comes_once_an_epoch_in_an_order_of_its_own():
    order = make_order()
    rows = [[order[3 * epoch + step] for step in range(3)] for epoch in range(3)]
    assert [[chosen.rows.shape for chosen in epoch] for epoch in rows] == [[(2, 8), (2, 8), (2, 4)]] * 3
    assert [chosen.epoch for epoch in rows for chosen in epoch] == [0] * 3 + [1] * 3 + [2] * 3
    joined = [np.concatenate([chosen.rows for chosen in epoch], axis=1) for epoch in rows]
    for epoch in joined:
        np.testing.assert_array_equal(np.sort(epoch), np.tile(np.arange(20), (2, 1)))
    assert len({epoch[seed].tobytes() for epoch in joined for seed in (0, 1)}) == 6


def test_batches_depend_on_seed_epoch_and_image_alone(record_set):
    """Not on the number of processes, on where reading begins, or on which seeds go along."""
    whole = list(decoded_batches(record_set, make_order(), WORDS))
    workers = dataclasses.replace(record_set, workers=1)
    later = list(decoded_batches(workers, make_order(first=1, words=WORDS[:1]), WORDS[:1]))
    assert (len(whole), len(later)) == (9, 6)
    for batch, again in zip(whole[3:], later, strict=True):
        np.testing.assert_array_equal(batch.images[:1], again.images)
        np.testing.assert_array_equal(batch.labels[:1], again.labels)
    crops = {image.tobytes() for batch in whole for image in batch.images.reshape(-1, 32, 32, 3)}
    assert len(crops) == 2 * 3 * 20


def test_a_process_that_ends_is_reported_in_one_sentence(record_set):
    records = record_set.records._replace(read=lambda row: os._exit(7))
    broken = dataclasses.replace(record_set, records=records, workers=1)
    test = EvaluationSet(np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1, np.int32), "cifar10")
    student = get_model(ModelSpec("conv2", 10, 32, 3, INFO.spec.options))
    with pytest.raises(GiftError, match=r"a process that decodes images ended .*exit code 7") as caught:
        train(Recipe(loss="ce", epochs=1, augment="none"), student, broken, None, test)
    assert "\n" not in str(caught.value)
