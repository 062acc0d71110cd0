"""Kinds of labels: equal images, steps and bytes, and what is paired."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from setups import INFO, distilled_set

from experiments import label_regimes
from experiments.common.inputs import load_real
from experiments.label_regimes import LabelRegimes, pruned_images
from experiments.label_regimes.pruned_images import load_dynamics, load_pruned, parse_file, read_rows
from experiments.label_regimes.pruning import Dynamics
from gift_jax import GiftError
from gift_jax.models import get_model
from gift_jax.recipes.hald import soft_hard_soft
from gift_jax.training.identity import fingerprint

CONFIG = LabelRegimes(num_seeds=2, epochs=30, ipc=3, subsets=("aum", "ccs"), student=None)


def recorded(recipe, network, images, on_epoch):
    """Dynamics of nobody's training."""
    rng, shape = np.random.default_rng(0), (recipe.epochs, len(images.labels))
    return Dynamics(rng.random(shape) < 0.8, rng.normal(size=shape).astype("f"), rng.random(shape, "f"))


@pytest.fixture
def cells(materials, tmp_path, monkeypatch):
    """Cells of a configuration."""
    monkeypatch.setattr(pruned_images, "record_dynamics", recorded)

    def make(config=CONFIG):
        real = load_real(config, 8)
        pruned = load_pruned(tmp_path, materials.student, real, config.subsets, config.indices, 4)
        gathered = label_regimes.gather(config, materials, real, pruned)
        return label_regimes.make_cells(gathered, real, pruned)

    return make


def named(found, **labels):
    return [cell for cell in found if cell.labels == labels]


def test_every_kind_of_labels_is_on_every_kind_of_images(cells):
    """In as many steps under one normalisation; losses share stored labels, and seeds do not."""
    found = cells()
    soft = itertools.product(("one", "few", "bank", "live"), ("gift", "kl", "kl_soft_hard_soft"))
    labels = ["hard", *map(", ".join, soft)]
    for kind, name in itertools.product(("rded", "random", "aum", "ccs"), labels):
        own = named(found, images=kind, labels=name)
        assert [cell.seed for cell in own] == [0, 1]
        assert {len(cell.task.distilled.labels) for cell in own} == {30}
    assert {cell.task.recipe.loss for cell in named(found, images="ccs", labels="hard")} == {"ce"}
    assert len({fingerprint(cell.identity()) for cell in found}) == len(found)
    programs = {id(cell): cell.program for cell in found}
    assert {(each.batch_size, each.steps_per_epoch, each.recipe.epochs) for each in programs.values()} == {(30, 1, 30)}
    assert {each.normalisation for each in programs.values()} == {INFO.normalisation}
    gift, kl = (named(found, images="random", labels=f"bank, {loss}") for loss in ("gift", "kl"))
    assert gift[0].task.soft_labels is kl[0].task.soft_labels
    assert gift[0].task.soft_labels is not gift[1].task.soft_labels
    pruned = [cell.task.distilled for cell in named(found, images="aum", labels="hard")]
    np.testing.assert_array_equal(pruned[0].images, pruned[1].images)
    whole, middle = (named(found, images="rded", labels=f"bank, {loss}")[0] for loss in ("kl", "kl_soft_hard_soft"))
    assert middle.task.recipe == soft_hard_soft(whole.task.recipe)
    assert middle.label_bytes == whole.label_bytes


def test_bytes_of_labels_by_hand(cells):
    found = cells()
    live = named(found, images="rded", labels="live, gift")[0]
    assert live.label_bytes == 4 * sum(leaf.size for leaf in jax.tree.leaves(live.task.teacher.params))
    # 30 images: an id of one byte, or ten logits of two bytes, for each of 1, 10 or 30 views.
    for name, size in {"hard": 30, "one, gift": 600, "few, gift": 6000, "bank, kl": 18000}.items():
        assert {cell.label_bytes for cell in named(found, images="rded", labels=name)} == {size}
    more = [cell for cell in found if "labels" not in cell.labels]  # images with hard labels of as many bytes
    counts = {len(cell.task.distilled.labels): cell.label_bytes for cell in more}
    assert counts == {600: 600, 897: 897}  # one soft label an image buys 60 a class; more of them buy all there are
    kinds = {cell.labels["images"] for cell in more if len(cell.task.distilled.labels) == 600}
    assert kinds == {"random", "aum", "ccs"}
    assert {(cell.task.recipe.loss, cell.task.teacher, cell.task.soft_labels) for cell in more} == {("ce", None, None)}
    assert all("labels" in cell.labels for cell in cells(dataclasses.replace(CONFIG, more_images=False)))


def test_digits_are_mirrored_as_the_dataset_says(cells, monkeypatch):
    spec = dataclasses.replace(label_regimes.get_dataset("digits"), mirrors=False)
    monkeypatch.setattr(label_regimes, "get_dataset", lambda name: spec)
    assert {cell.task.recipe.augment for cell in cells()} == {"none"}


def test_index_files_stand_beside_the_others(cells, tmp_path):
    labels = load_real(CONFIG, 8).labels
    rows = np.concatenate([np.flatnonzero(labels == label)[:3] for label in range(10)])
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "rows.txt").write_text("\n".join(map(str, rows)))
    files = (f"craig={tmp_path}/rows.npy", f"glister={tmp_path}/rows.txt")
    found = cells(dataclasses.replace(CONFIG, subsets=(), indices=files))
    sets = [named(found, images=name, labels="hard")[0].task.distilled for name in ("craig", "glister")]
    np.testing.assert_array_equal(sets[0].images, load_real(CONFIG, 8).read(rows))
    np.testing.assert_array_equal(sets[0].images, sets[1].images)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: parse_file("rows.npy"), "must be NAME=FILE"),
        (lambda path: load_pruned(path, None, None, (), ("ccs=a",), 1), "'ccs' is the name of another"),
        (lambda path: load_pruned(path, None, None, (), ("own=a", "own=b"), 1), "own=a own=b has a name twice"),
        (lambda path: LabelRegimes(indices=("rded=a",)), r"'rded' is the distilled set \(--method\)"),
        (lambda path: read_rows(path / "missing.npy"), "missing.npy: No such file"),
        (lambda path: read_rows(path / "rows.txt"), "rows.txt: holds no row numbers"),
        (lambda path: read_rows(path / "rows.npy"), "rows.npy: holds no row numbers"),
        (lambda path: LabelRegimes(method="random"), "random images are always"),
        (lambda path: LabelRegimes(losses=("ce",)), "ce is run anyway"),
        (lambda path: LabelRegimes(hard_middle=("ce",)), "--hard-middle must name soft labels"),
        (lambda path: LabelRegimes(views=0), "--views"),
        (lambda path: LabelRegimes(smallest_crop=0.0), "smallest_crop must be above 0"),
    ],
)
def test_mistakes_are_named(make, message, tmp_path):
    (tmp_path / "rows.txt").write_text("one\ntwo\n")
    np.save(tmp_path / "rows.npy", np.array([{}], object))
    with pytest.raises(GiftError, match=message):
        make(tmp_path)


def test_dynamics_are_recorded_once(tmp_path, monkeypatch):
    told = []
    record = lambda *parts: told.append(1) or recorded(*parts)  # noqa: E731
    monkeypatch.setattr(pruned_images, "record_dynamics", record)
    images, network = distilled_set(20), get_model(INFO.spec)
    first, again = (load_dynamics(tmp_path, network, images, 3) for _ in range(2))
    other = load_dynamics(tmp_path, network, images, 4)
    assert (len(told), len(first.errors), len(other.errors)) == (2, 3, 4)
    np.testing.assert_array_equal(first.margins, again.margins)
    load_dynamics(tmp_path, network, dataclasses.replace(images, labels=images.labels[::-1].copy()), 3)
    with jax.threefry_partitionable(not jax.config.jax_threefry_partitionable):
        load_dynamics(tmp_path, network, images, 3)
    assert len(told) == 4
