"""`experiments.evaluate` and the official loop in PyTorch: the same files, weights and draws, the same students.

The whole of the entry point is in this: reading an unconverted teacher, a `data.pt` and class folders, the order of
the batches with its remainder, DSA, the teacher, loss, optimizer, schedule, and the looks at the test set. What is
random is read off this side's keys and handed to PyTorch. The tolerance is the golden trajectories' (tests/golden):
ten times what PyTorch's own float32 run drifts from its float64 one; and a hundredth of the way that weights went.
"""

import copy
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import official_loop as official
import pytest
import torch
from forms import short_form
from PIL import Image

from convert.families import find_family
from convert.rules import to_torch
from experiments import evaluate
from gift_jax.data.datasets import CIFAR_NORMALISATION
from gift_jax.models import ModelSpec, get_model
from gift_jax.pixels import dsa
from gift_jax.recipes.recipe import Recipe
from gift_jax.teachers.teacher import flatten
from gift_jax.training import train as training
from gift_jax.training.epochs import make_batches
from gift_jax.training.program import Program

IPC, BATCH, EPOCHS, TESTS = 4, 15, 4, 6  # three steps an epoch, the last one of the ten images that remain
DRAWING = ("flip", "brightness", "saturation", "contrast", "crop", "cutout", "scale", "rotate")
SEED = 7
TIMES_DRIFT, SMALLEST_DRIFT, SHARE_OF_THE_WAY = 10, 1e-6, 0.01
# Before a BatchNorm a bias has a true gradient of zero: AdamW makes steps of its rounding, which running means absorb.
BIAS, ABSORBED, ABSORBED_DRIFT = r"layers\.conv\.\d\.bias", r"layers\.norm\.\d\.running_mean", 1e-4
# Of 60: KL's loss of 4e-4 is a difference of much larger numbers, so that its gradients are rounded coarsely.
DIFFERENT_IMAGES = {"gift": 1, "mse_ce": 1, "kl": 2}


def pictures(per_class, seed):
    """Coarse patterns, one a class, under noise: uint8 [N, 32, 32, 3], labels [N]."""
    patterns = np.random.default_rng(0).uniform(0, 255, (10, 4, 4, 3)).repeat(8, 1).repeat(8, 2)
    labels = np.arange(10).repeat(per_class)
    noise = np.random.default_rng(seed).normal(0, 90, (len(labels), 32, 32, 3))
    return (patterns[labels] + noise).clip(0, 255).astype(np.uint8), labels


def as_official(images, labels):
    return torch.from_numpy(images.transpose(0, 3, 1, 2) / np.float32(255)), torch.from_numpy(labels)


def make_teacher():
    """A ConvNet-3 that knows the patterns a little, after a few steps of cross-entropy."""
    torch.manual_seed(0)
    teacher, (images, labels) = official.ConvNet(), as_official(*pictures(4, seed=1))
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=1e-3)
    for _ in range(12):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(teacher(official.normalise(images)), labels).backward()
        optimizer.step()
    return teacher


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The official directories: teacher, data.pt, and test images in class folders."""
    root = tmp_path_factory.mktemp("official")
    (root / "data" / "pretrain_models").mkdir(parents=True)
    torch.save({"model": make_teacher().state_dict()}, root / "data" / "pretrain_models" / "cifar10_conv3.pth")
    images, labels = as_official(*pictures(IPC, seed=2))
    directory = root / "syn_data" / "rded" / "cifar10_conv3" / f"ipc{IPC}"
    directory.mkdir(parents=True)
    torch.save({"dataset": "cifar10", "data": images, "label": labels}, directory / "data.pt")
    for number, (image, label) in enumerate(zip(*pictures(TESTS, seed=3), strict=True)):
        folder = root / "data" / "cifar10" / "val" / f"{label:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number:05d}.png")
    return root


def draws_of(key, count):
    """What DSA draws from a key for count images, by operation; and so which geometric operation it chose."""
    drawn = {}
    with pytest.MonkeyPatch.context() as patch, jax.disable_jit():
        for name in DRAWING:
            patch.setattr(dsa, {"crop": "shift"}.get(name, name), functools.partial(_note, drawn, name))
        dsa.make_strategy()(key, jnp.zeros((count, 32, 32, 3)))
    return drawn


def _note(drawn, name, images, *draws):
    drawn[name] = [torch.from_numpy(np.array(draw)) for draw in draws]
    return images


def batches_of(program, run_key):
    """The epochs of a run as the official loop takes them: from the keys that `train` and `make_step` derive."""
    order_key, step_key = jax.random.split(run_key)
    step, epochs = 0, []
    for number in range(program.recipe.epochs):
        full, rest = make_batches(*program.batching)(order_key, number)
        epochs.append([])
        for indices in [*full, *([rest] if rest.size else [])]:
            augment_key = jax.random.split(jax.random.fold_in(step_key, step), 4)[1]
            batch = official.Batch(torch.from_numpy(np.array(indices)), draws_of(augment_key, len(indices)))
            epochs[-1].append(batch)
            step += 1
    return epochs


def torch_state(model, params, batch_stats):
    """Variables of this side under PyTorch's names."""
    flat = {"params": flatten(params), "batch_stats": flatten(batch_stats)}
    arrays = to_torch(jax.tree.map(np.asarray, flat), find_family("conv3").rules(model.spec))
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def run_official(place, initial, loss, epochs, dtype):
    """The official loop on the files themselves."""
    teacher, student = official.ConvNet(), official.ConvNet()
    teacher.load_state_dict(torch.load(place / "data" / "pretrain_models" / "cifar10_conv3.pth")["model"])
    student.load_state_dict(initial)
    content = torch.load(place / "syn_data" / "rded" / "cifar10_conv3" / f"ipc{IPC}" / "data.pt")
    images, labels = as_official(*pictures(TESTS, seed=3))
    return official.train(
        student.to(dtype), teacher.to(dtype), content["data"].to(dtype), content["label"], (images.to(dtype), labels),
        loss, copy.deepcopy(epochs),
    )  # fmt: skip


@pytest.fixture(scope="module")
def derived():
    """What this seed's runs start from and draw, for PyTorch: initial state dict, epochs. The loss has no part."""
    recipe = Recipe(epochs=EPOCHS, batch_size=BATCH)
    program = Program(get_model(ModelSpec("conv3", 10, 32)), None, recipe, 10 * IPC, "raw", CIFAR_NORMALISATION)
    init_key, run_key = jax.random.split(jax.random.key(SEED))
    return torch_state(program.model, *program.model.init(init_key)), batches_of(program, run_key)


def test_the_comparison_has_every_operation_and_the_remainder_in_it(derived):
    _, epochs = derived
    assert [[len(batch.indices) for batch in epoch] for epoch in epochs] == [[15, 15, 10]] * EPOCHS
    assert {name for epoch in epochs for batch in epoch for name in batch.draws} == set(DRAWING)
    assert all(sorted(torch.cat([b.indices for b in epoch]).tolist()) == list(range(10 * IPC)) for epoch in epochs)


def rms(found, exact):
    """Root of the mean squared difference of every array of two state dicts."""
    names = [name for name in exact if exact[name].is_floating_point()]
    return {name: (found[name].double() - exact[name].double()).square().mean().sqrt().item() for name in names}


@pytest.mark.parametrize("loss", short_form(official.CRITERIA, ["gift"]))
def test_evaluate_equals_the_official_loop(loss, place, derived, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    steps = []
    monkeypatch.setattr(training, "check_finite", lambda metrics, *_: steps.extend(metrics.loss[0].tolist()))
    config = evaluate.Evaluate(
        method="rded", dataset="cifar10", model="conv3", ipc=IPC, loss=loss, epochs=EPOCHS,
        batch_size=BATCH, seeds=(SEED,), out=tmp_path,
    )  # fmt: skip
    [run] = evaluate.run(config)
    initial, epochs = derived
    exact, theirs = (run_official(place, initial, loss, epochs, dtype) for dtype in (torch.float64, torch.float32))

    ours, drift = (np.abs(np.subtract(losses, exact.losses)).max() for losses in (steps, theirs.losses))
    assert len(steps) == len(exact.losses) == 12
    assert ours < TIMES_DRIFT * max(drift, SMALLEST_DRIFT * max(exact.losses))

    final = torch_state(get_model(ModelSpec("conv3", 10, 32)), run.state.params, run.state.batch_stats)
    found, drift, moved = (rms(state, exact.state) for state in (final, theirs.state, initial))
    for name in found:
        least = ABSORBED_DRIFT if re.fullmatch(f"{BIAS}|{ABSORBED}", name) else SMALLEST_DRIFT
        assert found[name] < TIMES_DRIFT * max(drift[name], least), name
        assert re.fullmatch(BIAS, name) or found[name] < SHARE_OF_THE_WAY * moved[name], name
    looks = [(look.top1, look.top5) for look in run.history]
    np.testing.assert_allclose(looks, exact.history, atol=100.1 * DIFFERENT_IMAGES[loss] / (10 * TESTS))
    assert exact.history[-1][0] > 50  # the students have learned something to agree on
