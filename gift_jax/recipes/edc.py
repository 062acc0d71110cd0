"""EDC's recipes: G-VBSM's loss with a smaller share of cross-entropy, and tests of a moving average of the weights.

Reference: shaoshitong/EDC, `Branch_*/train/train.sh` with `direct_train.py`, or on ImageNet-1K `train_FKD_parallel.py`.
Batches are those of the one set that each script is for. On ImageNet-1K the schedule is what runs: the option says
`cos`, but a line takes its place before the first epoch.
Its labels are the mean of the logits of four to eight teachers: give as many, or a bank.
A difference: on CIFAR-10 it tests after the epochs 800 to 1000 alone.
"""

import dataclasses

from gift_jax.data.datasets import IMAGENET_NORMALISATION
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes.gvbsm import CIFAR
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting, of_dataset

_SGD = Optimizer("sgd", 0.1, 5e-4, momentum=0.875, decay_vectors=False)
_COMMON = Recipe(
    loss="mse_ce",
    loss_options=(("ce_weight", 0.025),),
    optimizer=Optimizer("adamw", 1e-3, 0.01, decay_vectors=False),
    schedule=Schedule("cosine_drop", stretch=2),
    augment="torchvision-rand-m9-n2+flip",
    smallest_crop=0.5,
    mix="cutmix",
    mix_labels=False,  # the cross-entropy is with the label of the image that was pasted into
    ema=0.99,
    normalisation=IMAGENET_NORMALISATION,
)

RECIPES = {
    "imagenet-1k": dataclasses.replace(
        _COMMON,
        schedule=Schedule("linear", stretch=2),
        epochs=300,
        batch_size=100,
        augment="flip",
        shuffle=2,
        evaluations=10,
    ),
    "imagenet-10": dataclasses.replace(_COMMON, epochs=1000, batch_size=50, evaluations=33),
    "tinyimagenet": dataclasses.replace(
        _COMMON, optimizer=_SGD, schedule=Schedule("cosine", stretch=2), epochs=300, batch_size=100, evaluations=10
    ),
    "cifar100": dataclasses.replace(
        _COMMON, optimizer=_SGD, epochs=1000, batch_size=50, normalisation=CIFAR, evaluations=10
    ),
    "cifar10": dataclasses.replace(
        _COMMON,
        schedule=Schedule("multistep", milestones=((4, 5), (9, 10), (19, 20)), gamma=0.5),
        epochs=1000,
        batch_size=10,
        smallest_crop=0.08,
        normalisation=CIFAR,
        evaluations=100,
    ),
}


def recipe(setting: Setting) -> Recipe:
    """By dataset alone."""
    return of_dataset(RECIPES, "edc", setting)
