"""LPQLD's pool of batches: the largest logits, float16 crops, drawn without replacement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from fkd_files import batches, write_fkd
from label_banks import assert_shows, lpqld_targets, read_lpqld, train_from, write_lpqld

from gift_jax.errors import GiftError
from gift_jax.losses import kl, softce
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.training.replay import adapt_recipe, logits_of

BATCH, COUNT, TOP = 8, 7, 4


@pytest.fixture
def pool(tmp_path):
    return write_lpqld(tmp_path / "bank", batch=BATCH, count=COUNT, top=TOP)


@pytest.fixture
def imported(pool, imported_fkd):
    return imported_fkd(pool)


def test_drawn_batches_are_those_of_the_authors_loader(pool, imported):
    labels, out = imported
    info = labels.info
    assert (info.draw, info.top, info.steps, info.all_batches, info.epochs) == ("without_replacement", TOP, 3, COUNT, 3)
    assert "labels    the 4 largest of 10 logits of an image; 3 of 7 batches an epoch, drawn without replacement" in out
    theirs = {tuple(rows): rest for rows, *rest in read_lpqld(pool)}
    seen = set()
    for epoch in range(12):
        drawn = batches(labels, epoch)
        assert len({tuple(batch.indices.tolist()) for batch in drawn}) == len(drawn) == 3
        for batch in drawn:
            seen.add(tuple(batch.indices.tolist()))
            images, values, classes = theirs[tuple(batch.indices.tolist())]
            np.testing.assert_array_equal(batch.logits.astype("f"), values)
            np.testing.assert_array_equal(batch.classes, classes)
            if epoch == 0:
                assert_shows(batch, info, images)
    assert seen == theirs.keys()


def test_the_loss_is_of_a_softmax_over_the_largest_logits(pool, imported):
    labels, _ = imported
    batch = batches(labels, 0)[0]
    [[_, values, classes]] = [rest for rows, *rest in read_lpqld(pool) if rows == batch.indices.tolist()]
    student = torch.randn(BATCH, 10, generator=torch.Generator().manual_seed(3))
    logits, none = logits_of(batch, labels.info), jnp.zeros(BATCH, jnp.int32)
    for temperature in (20.0, 2.0):
        target = lpqld_targets(values, classes, temperature)
        found = jax.nn.softmax(logits / temperature)
        np.testing.assert_allclose(found, target, atol=1e-7)
        loss = torch.nn.functional.kl_div(torch.log_softmax(student / temperature, 1), target, reduction="batchmean")
        ours = kl(jnp.asarray(student.numpy()), logits, none, temperature=temperature).mean()
        np.testing.assert_allclose(ours, loss, rtol=1e-4, atol=1e-7)
    assert np.isfinite(softce(jnp.asarray(student.numpy()), logits, none)).all()


@pytest.mark.parametrize("loss", ["gift", "cosine", "mse", "mse_ce"])
def test_losses_that_read_all_logits_are_refused(imported, loss):
    with pytest.raises(GiftError, match="have only the 4 largest of 10; choose kl, softce or ce"):
        adapt_recipe(Recipe(loss=loss, epochs=9), imported[0].info)


def test_a_pool_of_all_logits_is_read_too(pool, imported_fkd):
    """As LPQLD's code writes without --label_quantization."""
    for path in pool.glob("*.tar"):
        *parts, values, classes = torch.load(path, weights_only=False)
        torch.save([*parts, torch.full((BATCH, 10), -3.0).half().scatter_(1, classes.long(), values)], path)
    labels, out = imported_fkd(pool)
    assert "10 logits of an image; 3 of 7 batches an epoch" in out
    assert adapt_recipe(Recipe(loss="gift", epochs=9), labels.info).loss == "gift"


def test_more_epochs_than_batches_suffice_for_can_be_trained(imported):
    recipe = adapt_recipe(Recipe(loss="kl", epochs=900), imported[0].info)
    assert (recipe.epochs, recipe.batch_size, recipe.max_steps, recipe.mix) == (900, BATCH, 3, "cutmix")
    assert adapt_recipe(recipe, imported[0].info) == recipe
    soft = (("soft", "probabilities"), ("temperature", 20.0))
    assert adapt_recipe(Recipe(loss="gift", loss_options=soft), imported[0].info).loss == "gift"


@pytest.mark.exhaustive
def test_a_student_trains_from_the_pool(imported):
    cooling = (("temperature", 4.0), ("t_squared", True), ("cooling", "cosine"), ("cooling_epochs", 4))
    recipe = Recipe(loss="kl", loss_options=cooling, epochs=4, evaluations=1, optimizer=Optimizer("sgd", 0.1))
    [run] = train_from(imported[0], recipe)
    assert (int(run.state.step), run.losses[-1] < run.losses[0]) == (4 * 3, True)


def test_an_epoch_of_another_bank_is_no_pool(refused_fkd, tmp_path):
    folder = write_fkd(tmp_path / "FKD", epochs=1) / "epoch_0"
    message = "batch_0.tar, but no sampler_indices_batch.json, which tells each batch's images; give the folder with it"
    refused_fkd(folder, message=message)


REFUSED = {
    "RandAugment": (lambda parts: [*parts[:2], [[torch.zeros(8)]], *parts[2:]], "has RandAugment's parameters"),
    "cutout": (lambda parts: [parts[0], torch.zeros(8, 7), *parts[2:]], "has boxes that are cut out (ImageNet-21K's)"),
    "seventh": (lambda parts: [*parts[:6], parts[6].float()], "has 7 parts, but those beyond the sixth are neither"),
    "classes": (lambda parts: [*parts[:6], parts[6] * 0], "an image's classes are not different ones"),
    "crops": (lambda parts: [parts[0] + 0.01, *parts[1:]], "its crops are not of whole pixels of a 28 pixel image"),
    "without classes": (lambda parts: parts[:6], "its logits are float16[8, 4], expected a tensor [8, 10]"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_records_that_are_not_lpqlds_are_named(pool, refused_fkd, change, message):
    torch.save(change(torch.load(pool / "batch_0.tar", weights_only=False)), pool / "batch_0.tar")
    refused_fkd(pool, message=message)


def test_missing_files_and_lists_are_named(pool, refused_fkd):
    (pool / "batch_3.tar").unlink()
    refused_fkd(pool, message="batch_3.tar is not there")
    for content, message in (
        ("[1, 2", "is no JSON file"),
        ('{"0": [1.5, 2]}', "is no dictionary of lists of images' numbers"),
        ('{"0": [1, 99]}', "names images beyond the 30 of the set"),
    ):
        (pool / "sampler_indices_batch.json").write_text(content)
        refused_fkd(pool, message=message)
