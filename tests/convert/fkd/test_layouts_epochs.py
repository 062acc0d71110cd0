"""HALD's files of an epoch each: softmax probabilities, crops of tensors rounded down, shown in turns."""

import dataclasses
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from fkd_files import batches, write_fkd
from label_banks import assert_shows, read_hald, write_hald

from gift_jax.errors import GiftError
from gift_jax.losses import kl
from gift_jax.recipes.recipe import Recipe
from gift_jax.training.replay import adapt_recipe, logits_of

BATCH, EPOCHS = 5, 2


@pytest.fixture
def bank(tmp_path):
    return write_hald(tmp_path / "rded_bs5_slc6_ipc3", batch=BATCH, epochs=EPOCHS)


def test_batches_are_those_of_the_authors_loader_in_turns(bank, imported_fkd):
    labels, out = imported_fkd(bank)
    info = labels.info
    assert (info.draw, info.temperature, info.crops, info.steps, info.all_batches) == ("in_turns", 20, "floats", 6, 12)
    assert "10 logits of an image, known up to a constant by probabilities at T = 20; 6 of 12 batches an epoch" in out
    theirs = {tuple(rows): rest for rows, *rest in read_hald(bank, batch=BATCH)}
    for turn in ((0, 1), (2, 3)):
        shown = [batch for epoch in turn for batch in batches(labels, epoch)]
        assert sorted(tuple(batch.indices.tolist()) for batch in shown) == sorted(theirs)
        for batch in shown:
            images, probabilities = theirs[tuple(batch.indices.tolist())]
            np.testing.assert_array_equal(batch.logits.astype("f"), probabilities)
            if turn == (0, 1):
                assert_shows(batch, info, images)
    assert [batch.indices[0] for batch in batches(labels, 0)] != [batch.indices[0] for batch in batches(labels, 2)]


def test_banks_of_other_labels_are_known_apart(tmp_path, imported_fkd):
    for name, temperature in (("a", 20), ("b", 20), ("c", 10)):
        folder = tmp_path / name / "rded_bs5_slc6_ipc3"
        write_hald(folder, batch=BATCH, epochs=EPOCHS, temperature=temperature)
    found = [imported_fkd(tmp_path / name / "rded_bs5_slc6_ipc3")[0].info for name in "abc"]
    assert found[0] == found[1] != found[2]
    assert found[2] == dataclasses.replace(found[0], content=found[2].content)


def test_logits_of_probabilities_have_their_softmax(bank, imported_fkd):
    labels, _ = imported_fkd(bank)
    batch = batches(labels, 0)[0]
    target = torch.from_numpy(batch.logits.astype("f"))
    logits = logits_of(batch, labels.info)
    np.testing.assert_allclose(jax.nn.softmax(logits / 20), target / target.sum(1, keepdim=True), rtol=1e-5)
    student = torch.randn(BATCH, 10, generator=torch.Generator().manual_seed(3))
    theirs = torch.nn.functional.kl_div(torch.log_softmax(student / 20, 1), target, reduction="batchmean")
    ours = kl(jnp.asarray(student.numpy()), logits, jnp.zeros(BATCH, jnp.int32)).mean()
    np.testing.assert_allclose(ours, theirs, atol=1e-3)  # theirs do not sum to 1 in float16


def test_losses_that_read_logits_need_centred_ones(bank, imported_fkd):
    labels, _ = imported_fkd(bank)
    with pytest.raises(GiftError, match=r"are probabilities \(T = 20\), which tell logits up to a constant"):
        adapt_recipe(Recipe(loss="gift"), labels.info)
    assert adapt_recipe(Recipe(loss="softce"), labels.info).loss == "softce"
    centred, out = imported_fkd(bank, "--centre")
    assert "known with a mean of 0 by probabilities at T = 20" in out
    assert adapt_recipe(Recipe(loss="gift"), centred.info).loss == "gift"
    batch = batches(centred, 0)[0]
    found, known = logits_of(batch, centred.info), logits_of(batch, labels.info)
    np.testing.assert_allclose(found.mean(1), np.zeros(BATCH), atol=1e-5)
    np.testing.assert_allclose(found, known - known.mean(1, keepdims=True), atol=1e-5)


def test_an_epochs_smaller_last_batch_is_left_out(imported_fkd, tmp_path):
    bank = write_hald(tmp_path / "bank", batch=8, epochs=2)
    labels, _ = imported_fkd(bank)
    assert (labels.info.steps, labels.info.all_batches, labels.info.drop_last) == (3, 6, True)


def test_logits_are_no_probabilities_nor_the_other_way_round(bank, refused_fkd, tmp_path):
    stored = torch.load(bank / "epoch_1.tar", weights_only=False)
    stored[2][5] = torch.log(stored[2][5]) * 20
    torch.save(stored, bank / "epoch_1.tar")
    refused_fkd(bank, message="batch 2: its labels are no probabilities, which sum to 1")
    other = write_fkd(tmp_path / "FKD", epochs=1)
    parts = torch.load(other / "epoch_0" / "batch_1.tar", weights_only=False)
    parts[5] = torch.softmax(parts[5].float(), dim=1)
    torch.save(parts, other / "epoch_0" / "batch_1.tar")
    refused_fkd(other, message="its logits are probabilities, which sum to 1")
    refused_fkd(other, "--centre", message="its labels are not HALD's probabilities; drop --centre")


def test_other_files_of_these_names_are_refused(bank, refused_fkd, tmp_path):
    with tarfile.open(bank / "epoch_0.tar", "w") as archive:
        archive.add(bank / "epoch_1.tar", "epoch_0/batch_0.tar")
    refused_fkd(bank, message="not a PyTorch checkpoint, but a tar archive; unpack it first")
    torch.save(torch.zeros(3), bank / "epoch_0.tar")
    refused_fkd(bank, message="is no list of an epoch's batches")
    (bank / "epoch_0.tar").unlink()
    refused_fkd(bank, message="epoch_0.tar is not there")
    (bank / "sampler_indices_dict.pt").unlink()
    refused_fkd(bank, message="holds epoch_1.tar, but no sampler_indices_dict.pt")
