"""G-VBSM's recipes: squared errors and a little cross-entropy.

Reference: `Branch_*/train/train_FKD.py`, `train.sh` of shaoshitong/G_VBSM_Dataset_Condensation.
"""

import dataclasses

from gift_jax.data.datasets import IMAGENET_NORMALISATION, Normalisation
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting, of_dataset

CIFAR = Normalisation((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))

_COMMON = Recipe(
    loss="mse_ce",
    loss_options=(("ce_weight", 0.1),),
    optimizer=Optimizer("sgd", 0.1, 5e-4, momentum=0.9, decay_vectors=False),
    schedule=Schedule("cosine"),
    augment="flip",
    smallest_crop=0.08,
    mix="cutmix",
    mix_labels=False,  # the cross-entropy is with the label of the image that was pasted into
)
_CIFAR = dataclasses.replace(
    _COMMON, loss_options=(("ce_weight", 0.15),), epochs=1000, evaluations=100, normalisation=CIFAR
)

RECIPES = {
    "imagenet-1k": dataclasses.replace(
        _COMMON,
        optimizer=Optimizer("adamw", 1e-3, 0.01, decay_vectors=False),
        epochs=300,
        batch_size=1024,
        normalisation=IMAGENET_NORMALISATION,
        evaluations=30,
    ),
    "tinyimagenet": dataclasses.replace(
        _COMMON, epochs=100, batch_size=100, normalisation=IMAGENET_NORMALISATION, evaluations=10
    ),
    "cifar100": dataclasses.replace(_CIFAR, batch_size=64),
    "cifar10": dataclasses.replace(
        _CIFAR, optimizer=Optimizer("adamw", 1e-3, 0.0, decay_vectors=False), batch_size=100
    ),
}


def recipe(setting: Setting) -> Recipe:
    """By dataset alone."""
    return of_dataset(RECIPES, "gvbsm", setting)
