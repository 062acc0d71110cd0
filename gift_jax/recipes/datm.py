"""DATM's recipe: stored logits, no teacher. Reference: `evaluate_synset` and `DiffAugment` of NUS-HPC-AI-Lab/DATM."""

from gift_jax.errors import GiftError
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting, of_dataset

# The rate falls after the epoch that is numbered 1000 // 2 + 1 from 0, of 1001 epochs.
_SCHEDULE = Schedule("multistep", milestones=((502, 1001),), gamma=0.1, restart=True)
SCHEDULES = {"cifar10": _SCHEDULE, "cifar100": _SCHEDULE, "tinyimagenet": _SCHEDULE}


def recipe(setting: Setting) -> Recipe:
    """SGD at the rate that was learned with the images. Raises: GiftError if the set does not tell it."""
    schedule = of_dataset(SCHEDULES, "datm", setting)
    if setting.learning_rate is None:
        raise GiftError(
            "recipe 'datm' needs the learned learning rate; convert the set from DATM's three files, of which "
            "lr_best.pt is one, or give Setting(learning_rate=...)"
        )
    return Recipe(
        loss="softce",
        optimizer=Optimizer("sgd", setting.learning_rate, 5e-4, momentum=0.9),
        schedule=schedule,
        epochs=1001,
        batch_size=128,
        single_operation=True,
        evaluations=1,
    )
