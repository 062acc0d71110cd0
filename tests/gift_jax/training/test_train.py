"""The training loop: seeds, drivers, errors. (Its numbers: test_step.py; one epoch: test_epochs.py.)"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from forms import short_form
from setups import INFO, distilled_set, evaluation_set, random_teacher, train_digits

from experiments.continual_learning.subset import restrict, restrict_evaluation
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec, get_model
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes.recipe import Recipe, official_batch_size
from gift_jax.task import Task, train
from gift_jax.training.resume import Checkpoints
from gift_jax.training.step import Metrics
from gift_jax.training.train import check_finite

STUDENT = get_model(INFO.spec)
CE = Recipe(loss="ce", epochs=1)
RECIPE = Recipe(epochs=3, batch_size=8, evaluations=3, optimizer=Optimizer("sgd", 0.05))


def run(recipe=RECIPE, **options):
    return train_digits(recipe, **options)


@pytest.fixture(scope="module")
def reference():
    told = []
    runs = run(seeds=(0, 1), driver="loop", on_epoch=lambda epochs, loss: told.append((epochs, np.isfinite(loss))))
    assert told == [(1, True)] * 6
    return runs


def leaves(state):
    return [np.asarray(leaf) for leaf in jax.tree.leaves((state.params, state.batch_stats, state.opt_state))]


@pytest.mark.parametrize("seeds", [(0, 0), (0, 2**32), (-1, 2**32 - 1), (2**64,), ()])
def test_seeds_that_would_be_trained_twice_are_refused(seeds):
    with pytest.raises(GiftError, match="seed"):
        run(seeds=seeds)


def test_a_run_that_ends_in_its_warmup_says_so(capsys):
    run(dataclasses.replace(RECIPE, schedule=Schedule(warmup_epochs=RECIPE.epochs)))
    assert f"never reaches its value in a run of {RECIPE.epochs}" in capsys.readouterr().err


def test_seeds_differ(reference):
    assert not np.array_equal(reference[0].losses, reference[1].losses)
    assert [one.seed for one in reference] == [0, 1]


# The last has both of the others' parts.
@pytest.mark.parametrize(
    ("driver", "seed_driver"),
    short_form([("scan", "loop"), ("loop", "vmap"), ("scan", "vmap")], [("scan", "vmap")]),
    ids=["scan", "vmap", "scan-vmap"],
)
def test_every_driver_gives_the_same_numbers(reference, driver, seed_driver):
    """Compiled apart, sums are ordered apart: a few float32 roundings, tolerance 2e-5 absolute."""
    runs = run(seeds=(0, 1), driver=driver, seed_driver=seed_driver)
    for found, expected in zip(runs, reference, strict=True):
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-5)
        for one, other in zip(leaves(found.state), leaves(expected.state), strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)


def test_losses_and_history_are_of_every_epoch_and_look(reference):
    assert reference[0].losses.shape == (3,)
    assert [look.epoch for look in reference[0].history] == [1, 2, 3]
    assert int(reference[0].state.step) == 9
    assert reference[0].top1_best == max(look.top1 for look in reference[0].history)
    assert reference[0].top1_last == reference[0].history[-1].top1
    assert reference[0].images_per_second > 0


def test_stored_soft_labels_replace_the_teacher_and_cross_entropy_needs_none():
    soft = np.random.default_rng(0).normal(size=(22, 10)).astype("f")
    stored, other = (
        run(distilled=distilled_set(soft_labels=labels), teacher=None)[0] for labels in (soft, soft[::-1].copy())
    )
    assert np.isfinite([*stored.losses, *run(CE, teacher=None)[0].losses]).all()
    assert not np.array_equal(stored.losses, other.losses)


def test_divergence_stops_the_run_with_step_and_cause():
    # Squared errors and a constant, far too large rate: weights overflow within a few steps.
    recipe = Recipe(
        loss="mse", epochs=50, batch_size=8, optimizer=Optimizer("sgd", 1e12), schedule=Schedule("constant")
    )
    with pytest.raises(GiftError, match=r"at step \d+ of seed 7: .*lower the learning rate"):
        run(recipe, seeds=(7,))


def test_a_broken_teacher_is_named_as_the_cause():
    ones = np.ones((1, 3), bool)
    metrics = Metrics(np.array([[0.1, np.nan, np.nan]]), ~np.isnan([[0, np.nan, np.nan]]), ones)
    with pytest.raises(GiftError, match=r"step 11 of seed 4: the teacher's logits were not finite"):
        check_finite(metrics, (4,), 10)
    check_finite(Metrics(ones * 1.0, ones, ones), (4,), 0)


FLOATS, ZEROS = np.zeros((22, 8, 8, 1), np.float32), np.zeros(22, np.int32)
LARGE, FLOAT, WHITE = (
    distilled_set(images=images, pixel_space=space)
    for images, space in ((np.zeros((22, 16, 16, 1), np.uint8), "raw"), (FLOATS, "normalised"), (FLOATS, "zca"))
)
WHITE_TESTS, COLOURED = EvaluationSet(FLOATS, ZEROS, "digits", "zca"), np.zeros((3, 32, 32, 3), np.uint8)
CIFAR, FEW = DistilledSet(COLOURED, ZEROS[:3], None, "raw", "cifar10", "x", 1), restrict(distilled_set(), (1, 4, 7))
ONE_PIXEL = {"student": get_model(ModelSpec("resnet18", 10, 32)), "distilled": CIFAR, "teacher": None, "test_set": None}
NARROW = {"recipe": CE, "teacher": None, "student": get_model(dataclasses.replace(INFO.spec, num_classes=3))}
JITTER, BYTES = Recipe(loss="ce", jitter=0.4), Recipe(augment="rand-m6-n2+flip")
MISFITS = [
    ({"distilled": LARGE}, "create the student for this set"),
    ({"student": get_model(ModelSpec("conv2", 9, 8, 1))}, "create the student"),
    ({"teacher": None}, "loss 'gift' needs soft labels"),
    ({"teacher": random_teacher()._replace(info=dataclasses.replace(INFO, dataset="cifar10"))}, "cifar10"),
    ({"test_set": EvaluationSet(COLOURED, ZEROS[:3], "cifar10")}, "the evaluation set is cifar10"),
    ({"distilled": WHITE}, r"set is zca, the evaluation set raw; .*whiten\(.*fit_zca"),
    ({"test_set": WHITE_TESTS}, "the random set is raw, the evaluation set zca"),
    ({**NARROW, "distilled": FEW}, "the evaluation set has 10 classes, the distilled set 3"),
    ({"recipe": JITTER, "teacher": None}, "changes the colours of 3 channels, but digits has 1"),
    ({"recipe": BYTES, "distilled": FLOAT}, "changes 8-bit grey or RGB pixels, but the set's are normalised, float32"),
    # ResNet-18 with ImageNet's stem halves 32 pixels five times. The last batch counts too.
    ({**ONE_PIXEL, "recipe": dataclasses.replace(CE, batch_size=1)}, "BatchNorm would normalise single values"),
    ({**ONE_PIXEL, "recipe": dataclasses.replace(CE, batch_size=2)}, "BatchNorm would normalise single values"),
]


@pytest.mark.parametrize(("change", "message"), MISFITS)
def test_misfits_are_named(change, message):
    parts = {"recipe": RECIPE, "student": STUDENT, "distilled": distilled_set(), "teacher": random_teacher()}
    with pytest.raises(GiftError, match=message):
        Task(**{**parts, "test_set": evaluation_set(), **change})


def test_set_and_test_images_must_count_the_classes_in_one_order():
    test = dataclasses.replace(evaluation_set(), class_names=tuple("abcdefghij"))
    swapped = distilled_set(class_names=tuple("abcdefghji"))
    with pytest.raises(GiftError, match="label 8 is 'j' in the random set and 'i' in the test images; give the test"):
        Task(CE, STUDENT, swapped, None, test)
    spec = dataclasses.replace(INFO.spec, num_classes=3)
    with pytest.raises(GiftError, match="label 1 is 'j' in the random set and 'i'"):
        Task(CE, get_model(spec), restrict(swapped, (7, 8, 9)), None, restrict_evaluation(test, (7, 8, 9)))
    for known in ("abcdefghij", "klmnopqrst"):  # of other names, nothing is known
        Task(CE, STUDENT, distilled_set(class_names=tuple(known)), None, test)
    Task(CE, STUDENT, distilled_set(), None, test)
    with pytest.raises(GiftError, match="label 0 is 'c' in the random set and 'a' in the test images"):
        Task(CE, STUDENT, distilled_set(class_names=tuple("cxxyzuvw12")), None, test)  # of one name is enough


@pytest.mark.parametrize(
    ("option", "value"), [("loss", "gifft"), ("mix", "cutup"), ("epochs", 0), ("augment", "blur"), ("batch_size", -1)]
)
def test_bad_recipes_are_named(option, value):
    with pytest.raises(GiftError, match=f"{option}|augmentation"):
        Recipe(**{option: value})


def test_official_batch_sizes():
    sizes = [official_batch_size(n) for n in (10, 11, 500, 501, 20_000, 20_001)]
    assert sizes == [10, 50, 50, 100, 100, 200]


@pytest.mark.parametrize("norm", short_form(["batch", "instance", "layer"], ["batch"]))
def test_bfloat16_keeps_weights_and_statistics_in_float32_and_the_loss_close(norm):
    options = (("norm", norm), ("width", 4)) if norm != "batch" else (("width", 4),)
    student = get_model(dataclasses.replace(INFO.spec, options=options))
    full, half = (
        train(
            dataclasses.replace(RECIPE, precision=precision),
            student,
            distilled_set(),
            random_teacher(),
            evaluation_set(),
        )[0]
        for precision in ("float32", "bfloat16")
    )
    leaves = jax.tree.leaves((half.state.params, half.state.batch_stats))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
    # Eight bits of mantissa: 0.4 % a rounding.
    np.testing.assert_allclose(half.losses, full.losses, rtol=0.05)
    assert not np.array_equal(half.losses, full.losses)


def test_a_directory_of_checkpoints_may_be_text(tmp_path):
    run(dataclasses.replace(RECIPE, epochs=1), checkpoints=Checkpoints(str(tmp_path / "saved"), epochs=1))
    assert (tmp_path / "saved" / "seed_0").is_dir()
