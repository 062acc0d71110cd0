"""The comparison compares one thing: the sides' networks, loss and augmentation agree with ours."""

import dataclasses

import jax
import pytest

from benchmarks import changes, compare, worker
from benchmarks.workloads import WORKLOADS, Size, evaluation_epochs
from gift_jax.data.datasets import get_dataset
from gift_jax.models import ModelSpec, get_model
from gift_jax.pixels import dsa
from gift_jax.recipes.recipe import Recipe

torch = pytest.importorskip("torch")

from benchmarks import strongest, torch_parts  # noqa: E402

ROWS = [
    {
        **{"workload": "conv3-32", "side": side, "batch": 100, "seconds": seconds, "n": 3, "device": "a device"},
        **{"images_per_second": 100 / seconds[1], "images_per_second_range": [1.0, 100.0], "peak_megabytes": 5.0},
        **{"warm_up_seconds": 2.0, "load_averages": [0.5, 1.5, 9.5], "versions": {"jax": "1.2.3"}},
    }
    for side, seconds in {
        "official": [4.0, 6.0, 9.0],
        "ours": [2.0, 2.0, 3.0],
        "ours-softce": [2.0, 1.0, 4.0],
    }.items()
]


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_networks_have_as_many_weights_as_ours(workload):
    model = get_model(ModelSpec(workload.model, workload.classes, workload.side, workload.channels))
    theirs = torch_parts.make_network(workload, 0)
    ours = sum(leaf.size for leaf in jax.tree.leaves(model.abstract()[0]))
    assert sum(weights.numel() for weights in theirs.parameters()) == ours
    assert theirs.eval()(torch.zeros(1, workload.channels, workload.side, workload.side)).shape == (1, workload.classes)


def test_the_recipe_is_the_official_one():
    recipe = Recipe()
    assert (recipe.optimizer.learning_rate, recipe.optimizer.weight_decay) == (1e-3, 1e-4)
    assert recipe.augment.split("_")[1:2] == ["crop"]
    assert [operation.__name__ for operation in torch_parts.GEOMETRIC] == ["crop", "scale", "rotate"]
    assert torch_parts.CROP_RATIO == dsa.SHIFT_RATIO
    for name in ("CUTOUT_RATIO", "SCALE_RATIO", "ROTATE_DEGREES"):
        assert getattr(torch_parts, name) == getattr(dsa, name)
    cifar = get_dataset("cifar100").normalisation
    assert (WORKLOADS["conv3-32"].mean, WORKLOADS["conv3-32"].std) == (cifar.mean, cifar.std)


@pytest.mark.parametrize("operation", torch_parts.GEOMETRIC)
def test_the_augmented_batch_keeps_its_shape_and_loses_a_square(operation):
    torch.manual_seed(0)
    images = torch_parts.augment(torch.randn(5, 3, 16, 16), operation)
    assert images.shape == (5, 3, 16, 16)
    assert torch.isfinite(images).all()
    # At least a quarter of a square of half the side lies inside the image.
    assert ((images == 0).all(dim=1).sum(dim=(1, 2)) >= 16).all()


@pytest.mark.parametrize(("epochs", "expected"), [(1, [1]), (2, [1, 2]), (8, [2, 4, 6, 8]), (9, [2, 4, 6, 8, 9])])
def test_evaluations_are_the_recipes(epochs, expected):
    assert evaluation_epochs(epochs) == expected
    recipe = Recipe(epochs=epochs)
    assert [epoch for epoch in range(1, epochs + 1) if recipe.is_evaluated(epoch)] == expected


def test_the_table_has_ratios_round_by_round():
    assert compare.ratio(ROWS, "ours", "official") == (3.0, 2.0, 3.0)
    lines = compare.make_table(ROWS).splitlines()
    assert "| official | 16.7 (1.0 to 100.0) | 3.00 (2.00 to 3.00) |" in lines[2]
    assert "| ours | 50.0 (1.0 to 100.0) | 1 |" in lines[3]
    assert "| 1.00 (0.50 to 1.33) |" in lines[4]
    notes = compare.make_notes(ROWS)
    assert all(part in notes for part in ("a device", "jax 1.2.3", "0.5 to 9.5"))


def test_each_precision_is_held_against_ours_in_it():
    assert {compare.twin(side) for side in compare.BFLOAT16} == {"ours-bfloat16"}
    assert {compare.twin(side) for side in compare.FLOAT32} == {"ours"}
    sides = ("strongest-bfloat16", "ours-bfloat16", "ours")
    rows = [{**row, "side": side} for row, side in zip(ROWS[:3], sides, strict=True)]
    lines = compare.make_table(rows).splitlines()
    assert "| 3.00 (2.00 to 3.00) |" in lines[2]
    assert [line.split(" | ")[3] for line in lines[3:]] == ["1", "1"]
    for side in (*compare.FLOAT32, *compare.BFLOAT16):
        assert side in worker.SIDES


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")  # PyTorch's own compiler's
def test_a_side_computes_in_its_precision(monkeypatch):
    monkeypatch.setitem(strongest.MODES, "cpu", ("eager",))
    workload = dataclasses.replace(WORKLOADS["conv3-32"], cpu=Size(4, 4))
    made = {side: worker.make_side(side, workload) for side in ("ours-bfloat16", "strongest-bfloat16")}
    assert {side.describe()["compute"] for side in made.values()} == {"bfloat16"}
    assert made["ours-bfloat16"].task.recipe.precision == "bfloat16"
    assert made["strongest-bfloat16"].logits(torch.zeros(1, 3, 32, 32)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workloads", "conv9"), "--workloads: 'conv9' is unknown"),
        (("--sides", "ours", "x"), "--sides: 'x' is unknown"),
        (("--sides", "official"), "--sides: 'ours' is not among them"),
    ],
)
def test_unknown_names_are_refused(arguments, message, command_line):
    status, _, error = command_line(compare.main, "compare", *arguments)
    assert status == 2
    assert message in error


def test_changes_are_taken_back_where_they_are(monkeypatch):
    """Each undo replaces what is there under that name: else a change would be timed against itself."""
    assert tuple(changes.CHANGES) == worker.CHANGED
    assert [name for name, undone in changes.CHANGES.items() if not undone] == ["huge-pages"]
    assert "without-huge-pages" in compare.PLAIN_PAGES
    for name, (module, attribute, _) in [(name, undone) for name, undone in changes.CHANGES.items() if undone]:
        before = getattr(module, attribute)
        monkeypatch.setattr(module, attribute, before)  # restored afterwards
        changes.take_back(name)
        assert getattr(module, attribute) is not before
