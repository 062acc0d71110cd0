"""LPLD's pruned epochs: a list of the images' order, dropped last batches, a pool drawn with replacement."""

import json

import numpy as np
import pytest
from fkd_files import batches, make_set, write_fkd
from label_banks import read_lpld, write_hald, write_lpld

from gift_jax.data.distilled import save_distilled
from gift_jax.errors import GiftError
from gift_jax.recipes.recipe import Recipe
from gift_jax.training.replay import adapt_recipe

BATCH, KEPT = 8, 5  # 3 of an epoch, 2 of the last one


@pytest.fixture
def bank(tmp_path):
    return write_lpld(tmp_path / "FKD", batch=BATCH, epochs=2, kept=KEPT)


def test_batches_are_those_of_the_authors_loader(bank, imported_fkd):
    labels, out = imported_fkd(bank)
    info = labels.info
    assert (info.draw, info.steps, info.all_batches, info.epochs) == ("with_replacement", 3, KEPT, 2)
    assert "3 of 5 batches an epoch, drawn with replacement" in out
    theirs = {tuple(rows): logits for rows, _, logits in read_lpld(bank, batch=BATCH)}
    assert len(theirs) == KEPT
    drawn = [batch for epoch in range(8) for batch in batches(labels, epoch)]
    for batch in drawn:
        np.testing.assert_array_equal(batch.logits.astype("f"), theirs[tuple(batch.indices.tolist())])
    # The authors' loader shows the batch before it in place of an epoch's last one.
    seen = {tuple(batch.indices.tolist()) for batch in drawn}
    assert seen == theirs.keys() - {list(theirs)[2]}
    assert len(drawn) == 8 * 3


def test_pruned_epochs_may_be_trained_as_stored(bank, imported_fkd):
    labels, _ = imported_fkd(bank, "--draw", "stored")
    theirs = list(read_lpld(bank, batch=BATCH))[:3]
    assert [batch.indices.tolist() for batch in batches(labels, 0)] == [rows for rows, *_ in theirs]
    assert adapt_recipe(Recipe(loss="kl", epochs=1), labels.info).max_steps == 3
    with pytest.raises(GiftError, match="2 epochs are asked for, soft labels are stored for 1"):
        adapt_recipe(Recipe(loss="kl", epochs=2), labels.info)


def test_a_full_bank_is_a_pool_by_option(imported_fkd, tmp_path):
    folder = write_fkd(tmp_path / "FKD", epochs=2)
    labels, _ = imported_fkd(folder, "--draw", "with_replacement")
    assert (labels.info.steps, labels.info.all_batches, labels.info.drop_last) == (4, 8, False)
    for epoch in range(5):
        assert [len(batch.indices) for batch in batches(labels, epoch)] == [8] * 4  # never the last one, of 6
    stored, _ = imported_fkd(folder)
    assert (stored.info.draw, stored.info.batches) == ("stored", 0)


def test_a_list_beside_whole_epochs_is_their_order(imported_fkd, tmp_path):
    folder = write_fkd(tmp_path / "FKD", epochs=2)
    expected, _ = imported_fkd(folder)
    order = {
        str(epoch): [int(row) for batch in batches(expected, epoch) for row in batch.indices] for epoch in range(2)
    }
    (folder / "sampler_indices_epoch.json").write_text(json.dumps(order))
    labels, _ = imported_fkd(folder, "--seed", "7")
    assert (labels.info.order, labels.info.draw) == ("as stored", "stored")
    assert batches(labels, 1)[2].indices.tolist() == order["1"][16:24]


def test_a_pruned_bank_without_its_list_is_named(bank, refused_fkd):
    order = json.loads((bank / "sampler_indices_epoch.json").read_text())
    (bank / "sampler_indices_epoch.json").write_text(json.dumps({"0": order["0"], "1": order["1"][1:]}))
    refused_fkd(bank, message="has labels of 16 images, the list of images 15")
    (bank / "sampler_indices_epoch.json").write_text(json.dumps({"0": order["0"]}))
    refused_fkd(bank, message="epoch_1: the list of images lacks this epoch")
    (bank / "sampler_indices_epoch.json").unlink()
    message = "epoch_1/batch_2.tar is not there (a pruned bank, as LPLD's, has sampler_indices_epoch.json beside"
    refused_fkd(bank, message=message)


def test_two_banks_in_one_folder_are_refused(bank, refused_fkd):
    write_hald(bank / "hald", batch=5, epochs=1)
    refused_fkd(bank, message="holds several banks (epoch_0/batch_0.tar and epoch_0.tar); give the directory of one")


def test_too_few_batches_for_an_epoch_are_refused(convert, tmp_path):
    bank = write_lpld(tmp_path / "FKD", batch=BATCH, epochs=1, kept=2)
    save_distilled(tmp_path / "set.safetensors", make_set())
    arguments = (bank, "--distilled", tmp_path / "set.safetensors", "--out", tmp_path / "labels")
    status, _, err = convert("fkd", *arguments)
    assert (status, (tmp_path / "labels").exists()) == (2, False)
    assert err.endswith("FKD: has 2 batches, an epoch of 30 images 3; give the whole bank\n")
