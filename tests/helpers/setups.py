"""Small, shared pieces for tests: a teacher with random weights, a set of random digits, an evaluation set."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.data.datasets import DIGITS_NORMALISATION, Normalisation
from gift_jax.data.digits import load_split
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet, load_digits_test
from gift_jax.data.network_input import to_input
from gift_jax.models import ModelSpec, get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.task import train
from gift_jax.teachers.teacher import TeacherInfo, Verification, make_teacher

SOURCE = ("t.pth", "0" * 64, Verification(64, 0.0, 0.0, 1.0), {"jax": "0"})
BATCH_SPEC = ModelSpec("conv2", 10, 8, 1, (("width", 16),))
PLAIN_SPEC = ModelSpec("conv2", 10, 8, 1, (("norm", "none"), ("width", 16)))
SEEN = Normalisation((0.5,), (0.5,))
INFO = TeacherInfo("conv2", "digits", 10, 8, 1, {"width": 4}, DIGITS_NORMALISATION, *SOURCE)


def make_variables(seed=0):
    """Random weights, with BatchNorm statistics that are not the initial ones."""
    model = get_model(INFO.spec)
    params, batch_stats = model.init(jax.random.key(seed))
    rng = np.random.default_rng(seed)
    noisy = lambda leaf: np.asarray(leaf) + rng.uniform(0.1, 0.5, leaf.shape).astype("f")  # noqa: E731
    return jax.tree.map(noisy, params), jax.tree.map(noisy, batch_stats)


def settled(normalisation, augment=lambda pixels: pixels, after=lambda images: images):
    """Initial weights of `BATCH_SPEC` whose running statistics are those of the real training digits.

    Args: augment, of float pixels in [0, 1]; after, of normalised images.
    """
    model = get_model(BATCH_SPEC)
    params, stats = model.init(jax.random.key(0))
    pixels = augment(jnp.asarray(load_split().train_images, jnp.float32) / 255)
    images = after(to_input(pixels, "raw", normalisation))
    step = jax.jit(functools.partial(model.apply, train=True))
    for _ in range(100):
        _, stats = step(params, stats, images)
    return params, stats


@functools.cache
def trained_on_digits():
    """A ConvNet that was trained on the real digits, seen as `SEEN`: (params, batch_stats)."""
    split = load_split()
    digits = DistilledSet(split.train_images, split.train_labels, None, "raw", "digits", "real", 100)
    optimizer = Optimizer("adam", 5e-3, 0.0)
    recipe = Recipe(loss="ce", epochs=40, augment="none", evaluations=1, optimizer=optimizer, normalisation=SEEN)
    [run] = train(recipe, get_model(PLAIN_SPEC), digits, None, load_digits_test())
    assert run.top1_last > 90
    return run.state.params, run.state.batch_stats


def random_teacher(seed=0):
    return make_teacher(INFO, *make_variables(seed))


def random_digits(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 8, 8, 1), np.uint8), np.arange(count, dtype=np.int32) % 10


def distilled_set(count=22, **changes):
    images, labels = random_digits(count)
    fields = {"images": images, "labels": labels, "soft_labels": None, "pixel_space": "raw"}
    return DistilledSet(**{**fields, "dataset": "digits", "method": "random", "ipc": 2, **changes})


def evaluation_set(count=23):
    return EvaluationSet(*random_digits(count, seed=1), "digits")


def train_digits(recipe, distilled=None, teacher="random", **options):
    """Runs of the student of `INFO` on random digits, or on another set, under a random teacher, another or none."""
    teacher = random_teacher() if teacher == "random" else teacher
    distilled = distilled_set() if distilled is None else distilled
    return train(recipe, get_model(INFO.spec), distilled, teacher, evaluation_set(), **options)


def stopping_after(epochs):
    """An `on_epoch` that ends a run as Ctrl-C would, after so many epochs of all seeds together."""
    done = []

    def on_epoch(count, loss):
        done.append(count)
        if sum(done) >= epochs:
            raise KeyboardInterrupt

    return on_epoch
