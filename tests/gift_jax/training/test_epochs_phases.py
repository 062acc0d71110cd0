"""Runs whose losses change with their epochs: against a loop in PyTorch, interrupted, and streamed."""

import dataclasses

import jax
import numpy as np
import pytest
from forms import short_form
from setups import INFO, distilled_set, random_teacher, stopping_after, train_digits
from torch_names import to_variables

from gift_jax.data.network_input import to_input
from gift_jax.errors import GiftError
from gift_jax.models import get_model
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes.recipe import Phase, Recipe
from gift_jax.training.resume import Checkpoints

STUDENT = get_model(INFO.spec)
SOFT_HARD_SOFT = Recipe(
    loss="kl",
    loss_options=(("temperature", 4.0), ("t_squared", True)),
    phases=(Phase((1, 4), (3, 4), "ce", (("smoothing", 0.8),)),),
    optimizer=Optimizer("sgd", 0.05, 5e-4),
    schedule=Schedule("constant"),
    augment="none",
    epochs=8,
    batch_size=22,
    evaluations=1,
)
SHUFFLED = dataclasses.replace(SOFT_HARD_SOFT, augment="flip", batch_size=8, epochs=4)


def run(recipe=SOFT_HARD_SOFT, **options):
    return train_digits(recipe, **options)


def in_pytorch():
    """Losses of the same epochs, a batch each, by PyTorch's layers, criteria and optimizer."""
    torch = pytest.importorskip("torch")
    from torch.nn import functional as F

    from convert.families import find_family
    from convert.rules import to_torch
    from gift_jax.teachers.teacher import flatten

    family, images, labels = find_family("conv2"), distilled_set().images, distilled_set().labels
    module = family.reference(INFO.spec)
    params, stats = STUDENT.init(jax.random.split(jax.random.key(0))[0])
    state = to_torch({"params": flatten(params), "batch_stats": flatten(stats)}, family.rules(INFO.spec))
    module.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    inputs = to_input(images, "raw", INFO.normalisation)
    teacher = torch.tensor(np.asarray(random_teacher().logits(inputs)))
    inputs, labels = torch.tensor(np.asarray(inputs)).permute(0, 3, 1, 2), torch.tensor(labels).long()
    optimizer = torch.optim.SGD(module.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    losses = []
    for epoch in range(8):
        logits = module.train()(inputs)
        if 2 <= epoch < 6:
            loss = F.cross_entropy(logits, labels, label_smoothing=0.8)
        else:
            loss = 16 * F.kl_div(F.log_softmax(logits / 4, 1), F.softmax(teacher / 4, 1), reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, module.state_dict()


def test_soft_hard_soft_equals_a_loop_in_pytorch():
    [found] = run()
    losses, state = in_pytorch()
    np.testing.assert_allclose(found.losses, losses, rtol=1e-4)
    expected, _ = to_variables({name: value.numpy() for name, value in state.items()})
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=2e-4), found.state.params, expected)
    without = run(dataclasses.replace(SOFT_HARD_SOFT, phases=()))[0]
    np.testing.assert_array_equal(without.losses[:2], found.losses[:2])
    assert abs(without.losses[7] - found.losses[7]) > 1e-3


@pytest.mark.parametrize("after", short_form([2, 4, 6], [4]))
@pytest.mark.parametrize("recipe", [SOFT_HARD_SOFT, pytest.param(SHUFFLED, marks=pytest.mark.exhaustive)])
def test_an_interrupted_run_goes_on_to_the_same_bits(recipe, after, tmp_path):
    """At the beginning, inside and at the end of the hard phase."""
    saved, stop = Checkpoints(tmp_path, epochs=1), stopping_after(after * recipe.epochs // 8 + 1)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, checkpoints=saved, on_epoch=stop)
    [whole], [found] = run(recipe), run(recipe, checkpoints=saved)
    np.testing.assert_array_equal(found.losses, whole.losses)
    jax.tree.map(np.testing.assert_array_equal, found.state, whole.state)


@pytest.mark.exhaustive
@pytest.mark.parametrize("options", [{"placement": "stream"}, {"driver": "scan"}, {"seed_driver": "vmap"}], ids=str)
def test_every_driver_trains_alike(options):
    for one, other in zip(run(SHUFFLED, seeds=(0, 1), **options), run(SHUFFLED, seeds=(0, 1)), strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)


def test_epochs_of_hard_labels_alone_need_no_teacher_and_others_do():
    hard = {"loss": "ce", "loss_options": (("smoothing", 0.8),), "phases": ()}
    recipe = dataclasses.replace(SOFT_HARD_SOFT, **hard)  # compiled as the phase of the others is
    assert np.isfinite(run(recipe, teacher=None)[0].losses).all()
    with pytest.raises(GiftError, match="loss 'gift' needs soft labels"):
        run(dataclasses.replace(recipe, phases=(Phase((1, 2), (1, 1), "gift"),)), teacher=None)


def test_the_losses_are_named_in_their_order():
    assert SOFT_HARD_SOFT.losses == ("kl", "ce", "kl")
    assert Recipe().losses == ("gift",)
    assert [SOFT_HARD_SOFT.soft_epochs(epoch) for epoch in (0, 2, 4, 6, 8)] == [0, 2, 2, 2, 4]
    assert dataclasses.replace(SOFT_HARD_SOFT, epochs=300).soft_epochs(300) == 150


def test_a_plan_of_many_epochs_walks_over_none_of_them():
    many = dataclasses.replace(SOFT_HARD_SOFT, epochs=2**31 - 1, evaluations=4)
    assert (many.losses, many.soft_epochs(many.epochs), many.num_evaluations) == (("kl", "ce", "kl"), 2**30 - 1, 5)


@pytest.mark.parametrize("evaluations", [1, 3, 4, 9])
def test_evaluations_are_counted_as_they_happen(evaluations):
    recipe = Recipe(epochs=7, evaluations=evaluations)
    counts = [sum(map(recipe.is_evaluated, range(1, epoch + 1))) for epoch in range(8)]
    assert [recipe.evaluations_until(epoch) for epoch in range(8)] == counts


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (((1, 2), (1, 2)), "a share of the epochs to a later one"),
        (((1, 2), (3, 2)), "a share of the epochs to a later one"),
        (((0, 2), (1, 2), "cee"), "loss 'cee' is unknown"),
    ],
)
def test_phases_that_cannot_be_are_refused(phase, message):
    with pytest.raises(GiftError, match=message):
        Phase(*phase)
