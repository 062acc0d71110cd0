"""CV-DD's recipes: SRe2L's of ImageNet-1K, under stored labels and in small batches.

Reference: Jiacheng8/CV-DD, `validate/train_fkd.py` and `validate/scripts/`.

Its labels are the mean of five teachers' logits, weighted by exp(accuracy / 10): give as many, or a bank.
Differences: its teachers' BatchNorm takes the statistics of half a batch, here those of training. It accumulates
gradients over two halves of a batch, which the student's BatchNorm sees one by one; here a batch is one.
"""

import dataclasses

from gift_jax.data.datasets import IMAGENET_NORMALISATION, Normalisation
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes import sre2l
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Rates, Setting, of_dataset, of_model

# (learning rate, how many times as long as the run the cosine is) by dataset, model and images a class.
RATES: Rates = {
    "cifar10": {
        "resnet18": dict.fromkeys((1, 10, 50), (1e-3, 1)),
        "resnet50": dict.fromkeys((1, 10, 50), (1e-3, 1)),
        "resnet101": dict.fromkeys((1, 10, 50), (5e-4, 1)),
    },
    "cifar100": {
        "resnet18": {1: (1e-3, 1), 10: (1e-3, 2), 50: (1e-3, 1)},
        "resnet50": {1: (1e-3, 1), 10: (1e-3, 2), 50: (1e-3, 1)},
        "resnet101": dict.fromkeys((1, 10, 50), (5e-4, 1)),
    },
    "tinyimagenet": {
        "resnet18": {1: (1e-3, 2), 10: (1e-3, 1), 50: (1e-3, 2)},
        "resnet50": dict.fromkeys((1, 10, 50), (1e-3, 1)),
        "resnet101": dict.fromkeys((1, 10, 50), (5e-4, 2)),
    },
    "imagenet-nette": {
        "resnet18": {1: (5e-4, 2), 10: (5e-4, 1), 50: (5e-4, 2)},
        "resnet50": {1: (5e-4, 2), 10: (1e-3, 1), 50: (5e-4, 1)},
        "resnet101": {1: (5e-4, 2), 10: (5e-4, 2), 50: (1e-3, 2)},
    },
    "imagenet-1k": {
        "resnet18": {1: (1e-3, 2), 10: (1e-3, 2), 50: (1e-3, 1)},
        "resnet50": {1: (1e-3, 2), 10: (1e-3, 2), 50: (1e-3, 1)},
        "resnet101": {1: (1e-3, 2), 10: (1e-3, 2), 50: (5e-4, 2)},
    },
}
NORMALISATIONS = {
    "cifar10": Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": Normalisation((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    **dict.fromkeys(("tinyimagenet", "imagenet-nette", "imagenet-woof", "imagenet-1k"), IMAGENET_NORMALISATION),
}
# Smaller batches than 16, by dataset and images a class; on ImageNet-1K for ResNet-18 alone.
TEN = {("cifar10", 1), ("imagenet-nette", 1)}
TEN_OF_RESNET18 = ("imagenet-1k", 1, "resnet18")


def recipe_of(name: str, rates: Rates, setting: Setting) -> Recipe:
    """With the rates of a table. Raises: GiftError that lists what the table has."""
    learning_rate, stretch = of_model(rates, name, setting)
    return dataclasses.replace(
        sre2l.RECIPES["imagenet-1k"],
        optimizer=Optimizer("adamw", learning_rate, 0.01, decay_vectors=False),
        schedule=Schedule("cosine", stretch=stretch),
        batch_size=16,
        normalisation=of_dataset(NORMALISATIONS, name, setting),
    )


def recipe(setting: Setting) -> Recipe:
    """By dataset, model and images a class."""
    found = recipe_of("cvdd", RATES, setting)
    ten = (setting.dataset, setting.ipc) in TEN or (setting.dataset, setting.ipc, setting.model) == TEN_OF_RESNET18
    return dataclasses.replace(found, batch_size=10) if ten else found
