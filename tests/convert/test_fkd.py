"""Stored soft labels: imported, and replayed as the authors' loader shows them."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from fkd_files import BATCH, IMAGES, LABELS, NORMALISATION, batches, make_set, numbers, read_fkd, sampler, write_fkd
from label_banks import REPLAY, STUDENT, train_from
from setups import INFO
from trees import tarred, zipped

from convert.fkd import sampler_order
from convert.torch_file import load_object
from gift_jax.data.stored_labels import load_soft_labels
from gift_jax.errors import GiftError
from gift_jax.losses import kl
from gift_jax.models import get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.hald import soft_hard_soft
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task
from gift_jax.teachers.teacher import make_teacher
from gift_jax.training.program import init_state, make_data
from gift_jax.training.step import make_step

SIDE, EPOCHS = IMAGES.shape[1], 2
RECIPE = Recipe(loss="kl", epochs=2, evaluations=1, optimizer=Optimizer("sgd", 0.1), normalisation=NORMALISATION)
VARIANTS = [("cutmix", False), ("cutmix", True), ("mixup", False), ("none", False)]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Released folders by (mixing, with numbers), written once."""

    @functools.cache
    def get(mix="cutmix", with_numbers=False):
        further = {"further": numbers} if with_numbers else {}
        return write_fkd(tmp_path_factory.mktemp("released") / "FKD", epochs=EPOCHS, mix=mix, **further)

    return get


@pytest.mark.parametrize(("mix", "with_numbers"), VARIANTS)
def test_batches_are_those_of_the_authors_loader(released, imported_fkd, mix, with_numbers):
    folder = released(mix, with_numbers)
    labels, _ = imported_fkd(folder)
    for epoch, theirs in enumerate(read_fkd(folder, EPOCHS)):
        ours = batches(labels, epoch)
        assert len(ours) == len(theirs) == 4
        for batch, (rows, images, logits) in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(batch.indices, rows)
            np.testing.assert_array_equal(batch.logits.astype("f"), logits)
            found, _ = REPLAY(jnp.asarray(IMAGES[batch.indices]), batch, labels.info, "raw", NORMALISATION)
            np.testing.assert_allclose(found.transpose(0, 3, 1, 2), images, atol=2e-6)


def test_a_pushed_set_serves_as_the_converted_one_does(released, imported_fkd, done, refused, tmp_path):
    expected, _ = imported_fkd(released("cutmix", True))
    done("push", tmp_path / "set.safetensors", "--out", tmp_path / "pushed")
    arguments = ("fkd", released("cutmix", True), "--distilled", tmp_path / "pushed")
    done(*arguments, "--out", tmp_path / "again")
    (tmp_path / "pushed" / "data").rename(tmp_path / "elsewhere")
    message = "is not converted yet; run `python -m convert distilled` first"
    refused(*arguments, message=message, names=tmp_path / "pushed")
    assert load_soft_labels(tmp_path / "again").info == expected.info


def test_what_is_stored_and_its_size_are_told(released, imported_fkd):
    labels, out = imported_fkd(released())
    info = labels.info
    assert (info.epochs, info.batch_size, info.mix, info.num_images) == (EPOCHS, BATCH, "cutmix", len(IMAGES))
    assert info.order == "of torch's RandomSampler, seed 42"
    assert out.startswith("reads     ")
    assert "GB on disk" in out
    assert "2 epochs of 4 batches" in out
    labels, _ = imported_fkd(released(), "--epochs", "1")
    assert (labels.info.epochs, len(list(labels.directory.glob("*.safetensors")))) == (1, 1)


def test_the_order_is_that_of_torchs_sampler_over_many_epochs():
    batches = sampler(23, 5)
    expected = [[row for rows in batches for row in rows] for _ in range(5)]
    np.testing.assert_array_equal(sampler_order(23, 5, 42), expected)


@pytest.mark.parametrize(
    ("suffix", "pack"), [("tar.gz", functools.partial(tarred, mode="w:gz")), ("tar", tarred), ("zip", zipped)]
)
def test_an_archive_is_read_in_any_order_of_files(released, imported_fkd, tmp_path, suffix, pack):
    files = sorted(released().rglob("*.tar"), key=lambda path: path.name)
    archive = tmp_path / f"FKD_cutmix_fp16.{suffix}"
    archive.write_bytes(pack({f"FKD_cutmix_fp16/{file.parent.name}/{file.name}": file.read_bytes() for file in files}))
    found = imported_fkd(archive)[0].epoch(1)
    expected = imported_fkd(released())[0].epoch(1)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_numpys_numbers_load_under_both_of_its_names(tmp_path):
    torch.save([np.int64(3), np.float64(0.5), np.int32(4)], tmp_path / "x.tar", _use_new_zipfile_serialization=False)
    content = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "old.tar").write_bytes(content.replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray"))
    assert content != (tmp_path / "old.tar").read_bytes()
    for name in ("x.tar", "old.tar"):
        assert load_object(tmp_path / name) == [3, 0.5, 4]


# ---- training ------------------------------------------------------------------------------------------


def test_the_loss_is_of_the_loaders_images_and_the_stored_logits(released, imported_fkd, key):
    folder = released()
    labels, _ = imported_fkd(folder)
    program = Task(RECIPE, STUDENT, make_set(), None, soft_labels=labels).program
    state, data, step = (
        init_state(program, key, RECIPE.optimizer.learning_rate),
        make_data(make_set(), None),
        jax.jit(make_step(program)),
    )
    theirs = next(read_fkd(folder, 1))
    for batch, (_, images, logits) in zip(batches(labels, 0), theirs, strict=True):
        seen = jnp.asarray(images.numpy().transpose(0, 2, 3, 1))
        student, _ = STUDENT.apply(state.params, state.batch_stats, seen, train=True, key=key)
        expected = kl(student, jnp.asarray(logits.numpy()), jnp.zeros(len(seen), jnp.int32)).mean()
        state, metrics = step(state, data, batch, key)
        np.testing.assert_allclose(metrics.loss, expected, rtol=2e-4)


@pytest.mark.exhaustive
def test_every_driver_trains_alike_and_as_often_as_stored(released, imported_fkd):
    labels, _ = imported_fkd(released())
    runs = {
        drivers: train_from(labels, RECIPE, seeds=(0, 1), driver=drivers[0], seed_driver=drivers[1])
        for drivers in (("loop", "loop"), ("scan", "loop"), ("loop", "vmap"))
    }
    expected = runs.pop(("loop", "loop"))
    assert int(expected[0].state.step) == 2 * 4
    for found in runs.values():
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)


def test_gvbsms_recipe_trains_from_its_labels(released, imported_fkd):
    labels, _ = imported_fkd(released("cutmix", True))
    assert labels.info.order == "as stored"
    recipe = Recipe(loss="mse_ce", mix_labels=False, epochs=2, evaluations=1, optimizer=Optimizer("sgd", 0.01))
    run = train_from(labels, recipe)[0]
    assert run.losses[1] < run.losses[0]
    row = Task(recipe, STUDENT, make_set(), soft_labels=labels).row(run)
    assert (row["recipe"]["batch_size"], row["recipe"]["mix"], row["recipe"]["augment"]) == (BATCH, "cutmix", "none")
    assert row["soft_labels"]["source"] == "FKD"


@pytest.mark.exhaustive
def test_hard_epochs_between_stored_ones_draw_their_own_crops(released, imported_fkd, monkeypatch):
    """The bank's first epoch is the run's first, and its second one the run's last."""
    labels, _ = imported_fkd(released())
    asked, read = [], type(labels).epoch
    monkeypatch.setattr(type(labels), "epoch", lambda self, number: asked.append(number) or read(self, number))
    recipe = soft_hard_soft(dataclasses.replace(RECIPE, epochs=4, smallest_crop=0.5, augment="flip"))
    [found] = train_from(labels, recipe)
    assert asked == [0, 1]
    assert (found.losses[1:3] > 2).all()  # cross-entropy of ten classes; the divergence is far smaller
    assert (found.losses[[0, 3]] < 1).all()
    row = Task(recipe, STUDENT, make_set(), soft_labels=labels).row(found)
    assert (row["loss"], row["recipe"]["smallest_crop"], row["recipe"]["batch_size"]) == ("kl-ce-kl", 0.5, BATCH)
    with pytest.raises(GiftError, match="4 epochs are asked for, soft labels are stored for 2"):
        train_from(labels, dataclasses.replace(recipe, epochs=8))


def test_what_does_not_fit_stored_labels_is_named(released, imported_fkd):
    labels, _ = imported_fkd(released())
    fields = {"architecture": "conv2", "dataset": "cifar10", "image_size": SIDE, "channels": 3}
    info = dataclasses.replace(INFO, **fields, normalisation=NORMALISATION)
    teacher = make_teacher(info, *get_model(info.spec).init(jax.random.key(0)))
    short, other, plain = Recipe(epochs=3), Recipe(epochs=1, batch_size=9), make_set()
    for recipe, distilled, asked, message in (
        (short, plain, None, "3 epochs are asked for, soft labels are stored for 2"),
        (other, plain, None, "batch_size is 9, but soft labels are stored in batches of 8"),
        (RECIPE, make_set(IMAGES[::-1].copy()), None, "the soft labels are of another set"),
        (RECIPE, plain, teacher, "a teacher and stored soft labels are given; give one of them"),
    ):
        with pytest.raises(GiftError, match=message):
            train_from(labels, recipe, distilled, asked)


# ---- what is refused -----------------------------------------------------------------------------------


def test_labels_of_other_images_and_a_part_of_the_set_are_refused(released, refused_fkd):
    message = "give the set in the authors' order, or --seed"
    refused_fkd(released(), "--seed", "7", message=message)
    backwards = make_set(IMAGES[::-1].copy(), np.roll(LABELS, 5))
    refused_fkd(released("cutmix", True), message=message, distilled=backwards)
    message = "has labels of 30 images, the set has 10; give the whole set"
    refused_fkd(released(), message=message, distilled=make_set(IMAGES[::3].copy(), LABELS[::3].copy()))


def replaced(place, change):
    return lambda record: [change(part) if number == place else part for number, part in enumerate(record)]


CHANGES = {
    "no list": (lambda record: {"logits": record[5]}, "is no list of six to eight parts"),
    "coordinates": (replaced(0, lambda coords: coords + 0.003), "its crops are not of whole pixels of a 28 pixel"),
    "outside": (replaced(0, lambda coords: coords + 0.5), "a crop lies outside its image"),
    "flips": (replaced(1, lambda flips: flips.float()), "its flips are float32[8], expected a tensor [8]"),
    "partners": (replaced(2, lambda partners: partners + 1), "a partner lies outside its batch"),
    "box": (replaced(4, lambda box: box[:3]), "its mixed box is no four whole numbers"),
    "classes": (replaced(5, lambda logits: logits[:, :9]), "its logits are float16[8, 9], expected a tensor [8, 10]"),
    "nan": (replaced(5, lambda logits: logits * torch.nan), "logits are not finite"),
    "kind": (replaced(4, lambda box: None), "has batches of several kinds"),
    "numbers": (replaced(6, torch.zeros_like), "its images are not each of the set's once"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_batch_that_does_not_fit_is_named(change, message, refused_fkd, tmp_path):
    folder = write_fkd(tmp_path / "FKD", epochs=1, further=numbers)
    path = folder / "epoch_0" / "batch_2.tar"
    torch.save(change(torch.load(path, weights_only=False)), path)
    refused_fkd(folder, message=message)


def test_missing_batches_and_sources_are_named(released, refused_fkd, tmp_path):
    folder = write_fkd(tmp_path / "FKD", epochs=2)
    (folder / "epoch_1" / "batch_2.tar").unlink()
    refused_fkd(folder, message="epoch_1/batch_2.tar is not there")
    refused_fkd(folder, "--epochs", "3", message="has 2 epochs, but --epochs is 3")
    refused_fkd(tmp_path / "nowhere", message="no such file or directory")
    (tmp_path / "empty").mkdir()
    refused_fkd(tmp_path / "empty", message="holds no soft labels (epoch_0/batch_0.tar or batch_0.tar or epoch_0.tar)")
    (tmp_path / "note.txt").write_text("soft labels")
    refused_fkd(tmp_path / "note.txt", message="neither a directory nor a zip or tar archive")


def test_banks_that_were_imported_before_others_were_known_still_load(released, imported_fkd):
    labels, _ = imported_fkd(released())
    content = json.loads((labels.directory / "fkd.json").read_text())
    mandatory = [field.name for field in dataclasses.fields(labels.info) if field.default is dataclasses.MISSING]
    old = {name: content[name] for name in ("format", *mandatory)}
    (labels.directory / "fkd.json").write_text(json.dumps(old))
    found = load_soft_labels(labels.directory)
    assert found.info == labels.info
    jax.tree.map(np.testing.assert_array_equal, found.epoch(1), labels.epoch(1))
    exchange(labels.directory)
    assert load_soft_labels(labels.directory).identity != labels.identity


def exchange(directory):
    """Two epochs' files change places, as if a part of another bank was copied over this one."""
    first, second = (directory / f"epoch_000{number}.safetensors" for number in (0, 1))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def test_damaged_imports_are_named(released, imported_fkd):
    labels, _ = imported_fkd(released())
    path, described = labels.directory / "epoch_0001.safetensors", labels.directory / "fkd.json"
    exchange(labels.directory)
    with pytest.raises(GiftError, match="its files are not those that were imported"):
        load_soft_labels(labels.directory)
    exchange(labels.directory)
    path.write_bytes(path.read_bytes()[:-100])
    for damage in (lambda: None, path.unlink):
        damage()
        with pytest.raises(GiftError, match=r"epoch_0001.safetensors: not readable"):
            labels.epoch(1)
    info, impossible = described.read_text(), "its mixing or one of its numbers cannot be"
    for content, message in (
        (info.replace('"cutmix"', '"blend"'), impossible),
        (info.replace('"batch_size": 8', '"batch_size": 0'), impossible),
        ('{"format": "gift_jax stored soft labels 1", "epochs": "two"}', "fields are missing or of the wrong kind"),
    ):
        described.write_text(content)
        with pytest.raises(GiftError, match=f"fkd.json: {message}"):
            load_soft_labels(labels.directory)
    with pytest.raises(GiftError, match=r"no stored soft labels here"):
        load_soft_labels(labels.directory.parent)


def test_other_labels_are_not_replaced_and_the_same_ones_are_there(released, imported_fkd, convert, tmp_path):
    labels, _ = imported_fkd(released())
    before = {path: path.read_bytes() for path in labels.directory.iterdir()}
    again = ("fkd", released(), "--distilled", tmp_path / "set.safetensors", "--out", labels.directory)
    status, out, err = convert(*again)
    assert (status, f"exists    {labels.directory}" in out) == (0, True), err
    status, _, err = convert(*again, "--epochs", 1)
    assert (status, "holds something else, and is not replaced" in err) == (2, True)
    assert {path: path.read_bytes() for path in labels.directory.iterdir()} == before


def test_an_average_of_the_weights_is_tested_and_changes_no_training(released, imported_fkd):
    """With a decay of almost nothing the average is the student itself."""
    labels, _ = imported_fkd(released())
    [plain], [follows], [averaged] = (
        train_from(labels, dataclasses.replace(RECIPE, ema=ema, evaluations=2)) for ema in (None, 1e-9, 0.9)
    )
    np.testing.assert_array_equal(follows.losses, plain.losses)
    np.testing.assert_array_equal(averaged.losses, plain.losses)
    assert follows.history == plain.history
    recipe = dataclasses.replace(RECIPE, ema=0.9)
    params, _ = Task(recipe, STUDENT, make_set(), None, soft_labels=labels).evaluation_weights(averaged.state)
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(averaged.state.params), strict=True)
    assert any(np.abs(average - last).max() > 1e-6 for average, last in pairs)
