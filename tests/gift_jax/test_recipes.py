"""Named recipes against golden text: a changed hyper-parameter shows as a difference there.

`PYTHONPATH=tests/helpers python tests/gift_jax/test_recipes.py` writes tests/golden/recipes/ again; read the difference
before committing it.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from setups import INFO, distilled_set

from gift_jax.data.distilled import load_distilled, save_distilled
from gift_jax.data.network_input import to_input
from gift_jax.errors import GiftError
from gift_jax.losses import LOSSES, ce
from gift_jax.models import get_model
from gift_jax.optim import make_optimizer, make_schedule
from gift_jax.pixels.mixing import random_mixup
from gift_jax.recipes import RECIPES, Setting, make_recipe, setting_of
from gift_jax.recipes.hald import soft_hard_soft
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import Task
from gift_jax.training.program import init_state, make_data
from gift_jax.training.step import make_step

GOLDEN = Path(__file__).parents[1] / "golden" / "recipes"


def written(name, text):
    """(method, dataset, model, images a class) of a row of `WRITTEN`."""
    *method, dataset, model, ipc = text.split()
    return (*(method or [name]), dataset, model, int(ipc))


# Dataset, model and images a class; before them the set's method, where it is not the recipe's name.
WRITTEN = {
    "gift": "sre2l cifar100 conv3 10, datm tinyimagenet conv4 1, rded imagenet-nette conv5 1, "
    "rded imagenet-1k conv4 10, rded imagenet-1k resnet18 10, sre2l imagenet-1k resnet18 50, "
    "sre2l imagenet-1k swin_v2_t 10, rded digits conv2 10",
    "sre2l": "imagenet-1k resnet18 50, tinyimagenet resnet18 50, cifar100 resnet18 50",
    "cda": "imagenet-1k resnet18 200, tinyimagenet resnet18_modified 100",
    "rded": "cifar10 conv3 1, cifar10 resnet18_modified 50, cifar100 conv3 10, cifar100 resnet18_modified 10, "
    "tinyimagenet conv4 10, imagenet-woof conv5 10, imagenet-1k conv4 10, imagenet-1k efficientnet_b0 50",
    "datm": "cifar10 conv3 10, cifar100 conv3 10, tinyimagenet conv3 10",
    "gvbsm": "imagenet-1k resnet18 10, tinyimagenet resnet18 10, cifar100 resnet18 10, cifar10 resnet18 10",
    "dc": "mnist conv3 10, cifar10 conv3 10",
    "dsa": "svhn conv3 10, cifar10 conv3 10",
    "dm": "cifar100 conv3 50",
    "mtt": "cifar10 conv3 10",
    "idc": "cifar10 conv3 10, fashion-mnist conv3 40, svhn conv3 1, mnist conv3 10, mnist conv3 40, "
    "imagenet-10 resnet_ap10 90, imagenet-100 resnet_ap10 180",
    "minimax": "imagenet-woof resnet_ap10 100, imagenet-nette resnet_ap10 10, imagenet-100 resnet_ap10 20",
    "edc": "imagenet-1k resnet18 10, imagenet-10 resnet18 10, tinyimagenet resnet18 10, cifar100 resnet18 10, "
    "cifar10 resnet18 10",
    "cim": "cifar10 conv3 10, imagenet-1k resnet18 10, imagenet-1k efficientnet_b0 50",
    "delt": "imagenet-1k resnet18 50, imagenet-1k resnet101 10, tinyimagenet resnet18_modified 30, "
    "cifar10 resnet18_modified 40",
    "cvdd": "imagenet-1k resnet18 10, imagenet-1k resnet18 1, imagenet-1k resnet101 50, imagenet-nette resnet50 50, "
    "tinyimagenet resnet18_modified 50, cifar100 resnet18_modified 10, cifar10 resnet18_modified 1",
    "hald": "imagenet-1k resnet18 10, imagenet-1k mobilenet_v2 50, imagenet-woof resnet50 10, "
    "tinyimagenet resnet18_modified 50, cifar100 resnet101_modified 1",
}
SETTINGS = {name: [written(name, text) for text in rows.split(", ")] for name, rows in WRITTEN.items()}
# Settings of sets whose images were cut out of larger ones.
FORMED = {("idc", "mnist", 40), ("idc", "fashion-mnist", 40), ("idc", "imagenet-10", 90), ("idc", "imagenet-100", 180)}
LEARNED_RATE = 0.0125


def make_setting(name, row):
    method, dataset, _, ipc = row
    return Setting(*row, LEARNED_RATE if name in ("datm", "mtt") else None, (method, dataset, ipc) in FORMED)


def lines(value, prefix=""):
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if dataclasses.is_dataclass(content):
            yield from lines(content, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name} = {content!r}"


def resolved(name):
    blocks = []
    for row in SETTINGS[name]:
        setting = make_setting(name, row)
        formed = ", cut out of larger ones" if setting.formed else ""
        title = f"[{setting.dataset}, {setting.model}, {setting.ipc} images a class{formed}, set of {setting.method}]"
        blocks.append("\n".join([title, *lines(make_recipe(name, setting))]) + "\n")
    return "\n".join(blocks)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_as_committed(name):
    assert resolved(name) == (GOLDEN / f"{name}.txt").read_text()


def test_every_golden_file_is_of_a_recipe():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(RECIPES)


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in SETTINGS.items() for row in rows])
def test_recipes_can_be_built(name, row):
    recipe = make_recipe(name, make_setting(name, row))
    make_optimizer(recipe.optimizer, make_schedule(recipe.schedule, 1.0, recipe.epochs, 3))
    logits = np.ones((2, 3), "f")
    loss = LOSSES[recipe.loss](logits, logits, np.array([0, 1]), **dict(recipe.loss_options))
    assert np.isfinite(loss).all()


@pytest.mark.parametrize(
    ("name", "dataset", "last"),
    [("dc", "cifar10", 151), ("dc", "mnist", 501), ("dm", "svhn", 501), ("datm", "cifar10", 501)],
)
def test_the_dc_familys_rate_falls_after_half_of_the_epochs_and_one(name, dataset, last):
    recipe = make_recipe(name, Setting(name, dataset, "conv3", 10, LEARNED_RATE))
    rate = make_schedule(recipe.schedule, 1.0, recipe.epochs, 1)
    assert [float(rate(epoch)) for epoch in (last, last + 1)] == pytest.approx([1.0, 0.1])
    assert recipe.epochs == 2 * (last - 1) + 1


def test_the_learned_rate_and_that_images_were_cut_out_of_larger_ones_come_from_the_set(tmp_path):
    """Also once the set was written and read; sets of before version 0.2 say it in their provenance."""
    names, cut = ("random", "digits", "conv3", 2), "each stored image is 2 x 2 smaller ones"
    told = [({}, ()), ({"learning_rate": 0.017}, (0.017,)), ({"formation": 2}, (None, True))]
    told += [({"provenance": {"learning_rate": "0.017"}}, (0.017,)), ({"provenance": {"formation": cut}}, (None, True))]
    for number, (fields, wanted) in enumerate(told):
        save_distilled(path := tmp_path / f"{number}.safetensors", distilled_set(**fields))
        assert setting_of(load_distilled(path), "conv3") == Setting(*names, *wanted)


@pytest.mark.parametrize("classes", [10, 100])
def test_idcs_epochs_are_its_formulas(classes):
    """`ipc_epoch` of its `argument.py`, stated again."""
    for ipc in (1, 2, 10, 11, 50, 51, 200, 201, 500, 501, 1000):
        limits = {1: 3000, 10: 2000, 50: 1500, 200: 1000, 500: 500}
        epochs = next((limits[limit] for limit in limits if ipc <= limit), 300)
        if classes == 100:
            epochs = int((2 / 3) * epochs)
            epochs -= epochs % 100
        assert make_recipe("minimax", Setting("x", f"imagenet-{classes}", "resnet_ap10", ipc)).epochs == epochs


def test_soft_hard_soft_is_any_recipes():
    """HALD rounds as `soft // 2`; what was not set stays the recipe's."""
    recipe = dataclasses.replace(make_recipe("gift", Setting("x", "cifar10", "conv3", 10)), epochs=10)
    found = soft_hard_soft(recipe, 0.5)
    assert [found.during(epoch).loss for epoch in range(10)] == ["gift"] * 2 + ["ce"] * 5 + ["gift"] * 3
    assert found.during(0) == found.during(9) == recipe
    assert soft_hard_soft(recipe, 2 / 3).phases[0].start == (1, 6)
    for share in (0, 1, -0.5):
        with pytest.raises(GiftError, match="must be above 0 and below 1"):
            soft_hard_soft(recipe, share)


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("gfit", ("x", "cifar10", "conv3", 10), "recipe 'gfit' is unknown; choose one of gift"),
        ("sre2l", ("x", "cifar10", "conv3", 10), "no settings for cifar10, only for imagenet-1k, tinyimagenet"),
        ("datm", ("x", "cifar10", "conv3", 10), "needs the learned learning rate"),
        ("idc", ("x", "tinyimagenet", "conv4", 10), "of at most 100 classes, cifar10, cifar100, svhn"),
        ("minimax", ("x", "imagenet-1k", "resnet_ap10", 10), "only for subsets of ImageNet of at most 100 classes;"),
        ("cvdd", ("x", "cifar10", "conv3", 10), "conv3 and 10 images a class of cifar10, only for resnet18"),
        ("hald", ("x", "imagenet-1k", "resnet18", 200), "only for resnet18 with 1, 10, 20, 30, 40, 50; resnet50"),
    ],
)
def test_what_has_no_recipe_is_named(name, row, message):
    with pytest.raises(GiftError, match=message):
        make_recipe(name, Setting(*row))


@pytest.mark.parametrize("mix_labels", [True, False])
def test_partners_hard_labels_weigh_only_if_asked_for(mix_labels, key):
    recipe = Recipe(loss="ce", mix="mixup", mix_labels=mix_labels, augment="none", batch_size=20)
    student, images = get_model(INFO.spec), distilled_set(20)
    program, order = Task(recipe, student, images, None).program, np.arange(20, dtype=np.int32)
    state, data = init_state(program, key, recipe.optimizer.learning_rate), make_data(images, None)
    mix_key = jax.random.split(jax.random.fold_in(key, 0), 4)[2]
    mixed, partners, kept = random_mixup(mix_key, to_input(data.images, "raw", program.normalisation))
    logits, _ = student.apply(state.params, state.batch_stats, mixed, train=True, key=key)
    own, others = (ce(logits, logits, labels).mean() for labels in (data.labels, data.labels[partners]))
    expected = kept * own + (1 - kept) * others if mix_labels else own
    loss = jax.jit(make_step(program))(state, data, order, key)[1].loss
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert abs(float(own - others)) > 1e-3


if __name__ == "__main__":
    for name in RECIPES:
        (GOLDEN / f"{name}.txt").write_text(resolved(name))
