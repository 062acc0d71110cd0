"""Records of more than six parts: EDC's on ImageNet and WMDD's weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from fkd_files import IMAGES, NORMALISATION, batches, make_set, numbers, write_fkd
from label_banks import REPLAY, STUDENT, assert_shows, read_edc

from gift_jax.losses import kl
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task
from gift_jax.training.program import init_state, make_data
from gift_jax.training.replay import adapt_recipe, logits_of, weights_of
from gift_jax.training.step import make_step

WEIGHTS = np.random.default_rng(5).uniform(0.05, 0.4, len(IMAGES))


def numbers_and_cells(rows):
    rng = np.random.default_rng(rows)
    orders = np.stack([[rng.permutation(2) for _ in range(2)] for _ in rows])
    return [torch.tensor(rows), torch.from_numpy(orders)]


def numbers_and_no_order(rows):
    """As EDC's relabelling writes, which asks for no order."""
    return [torch.tensor(rows), torch.zeros(len(rows), 2, 2, dtype=torch.int32)]


def weights_of_rows(rows):
    return [torch.from_numpy(WEIGHTS[rows])]


def written(folder, further):
    return write_fkd(folder / "FKD", epochs=1, further=further)


@pytest.mark.parametrize("further", [numbers_and_cells, numbers_and_no_order], ids=["an order", "no order"])
def test_edcs_images_are_crops_of_tensors_whatever_order_of_cells_is_stored(imported_fkd, tmp_path, further):
    folder = written(tmp_path, further)
    labels, _ = imported_fkd(folder)
    assert (labels.info.crops, labels.info.order) == ("floats", "as stored")
    theirs = list(read_edc(folder, 0))
    for batch, (rows, images, logits) in zip(batches(labels, 0), theirs, strict=True):
        np.testing.assert_array_equal(batch.indices, rows)
        np.testing.assert_array_equal(batch.logits.astype("f"), logits)
        if len(rows) == 8 and further is numbers_and_cells:
            assert_shows(batch, labels.info, images)


def test_images_numbers_alone_are_of_pillows_crops(imported_fkd, tmp_path):
    """As G-VBSM's, and EDC's on CIFAR and Tiny-ImageNet."""
    labels, _ = imported_fkd(written(tmp_path, numbers))
    assert (labels.info.crops, labels.info.order) == ("bytes", "as stored")
    assert adapt_recipe(Recipe(loss="mse_ce", epochs=1, shuffle=2), labels.info).shuffle == 1


def test_wmdds_weights_are_of_the_images_losses(imported_fkd, tmp_path):
    labels, _ = imported_fkd(written(tmp_path, weights_of_rows))
    assert (labels.info.weighted, labels.info.order) == (True, "of torch's RandomSampler, seed 42")
    batch = batches(labels, 0)[0]
    np.testing.assert_allclose(batch.weights, WEIGHTS[batch.indices], rtol=1e-6)
    student, target = torch.randn(8, 10, generator=torch.Generator().manual_seed(3)), torch.from_numpy(batch.logits)
    divergence = torch.nn.functional.kl_div(
        torch.log_softmax(student / 20, 1), torch.softmax(target.float() / 20, 1), reduction="none"
    )
    weights = torch.from_numpy(WEIGHTS[batch.indices])
    theirs = (divergence.sum(1) * (weights / weights.mean())).mean()
    losses = kl(jnp.asarray(student.numpy()), logits_of(batch, labels.info), jnp.zeros(8, jnp.int32))
    np.testing.assert_allclose((weights_of(batch) * losses).mean(), theirs, rtol=1e-4)


@pytest.mark.exhaustive
def test_the_step_weighs_losses_at_the_epochs_temperature(imported_fkd, tmp_path, key):
    labels, _ = imported_fkd(written(tmp_path, weights_of_rows))
    options = (("temperature", 20.0), ("cooling", "step"), ("cooling_every", 1))
    recipe = Recipe(loss="kl", loss_options=options, epochs=1, normalisation=NORMALISATION)
    program = Task(recipe, STUDENT, make_set(), None, soft_labels=labels).program
    state, step = init_state(program, key, 1e-3), jax.jit(make_step(program))
    batch = batches(labels, 0)[0]
    images, _ = REPLAY(jnp.asarray(IMAGES[batch.indices]), batch, labels.info, "raw", NORMALISATION)
    logits, _ = STUDENT.apply(state.params, state.batch_stats, images, train=True, key=key)
    losses = kl(logits, jnp.asarray(batch.logits, jnp.float32), jnp.zeros(8, jnp.int32), temperature=10.0)
    _, metrics = step(state, make_data(make_set(), None), batch, key)
    np.testing.assert_allclose(metrics.loss, (weights_of(batch) * losses).mean(), rtol=1e-4)


@pytest.mark.parametrize(
    ("further", "message"),
    [
        (lambda rows: [torch.full((len(rows),), -1.0)], "a weight is not above 0"),
        (lambda rows: [torch.tensor(rows) + 0.5, torch.tensor(rows)], "has 8 parts, but those beyond the sixth are"),
        (lambda rows: [torch.tensor(rows), torch.zeros(len(rows), 3, 2).int()], "its orders of cells are int32["),
        (lambda rows: [torch.tensor(rows)] * 3, "is no list of six to eight parts"),
    ],
    ids=["weights", "two kinds", "cells", "nine parts"],
)
def test_what_is_neither_is_refused(refused_fkd, tmp_path, further, message):
    refused_fkd(written(tmp_path, further), message=message)
