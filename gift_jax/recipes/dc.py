"""The DC family's recipes: hard labels, no teacher, SGD whose rate falls once.

Reference: `evaluate_synset` and `get_daparam` of `utils.py`, with the options that `main.py` (DC, DSA) and `main_DM.py`
give them, of VICO-UoE/DatasetCondensation. MTT evaluates by the same function, at the rate that it learned, where its
set tells one: GeorgeCazenavette/mtt-distillation, `utils.py`.
"""

from gift_jax.optim import Optimizer, Schedule
from gift_jax.pixels.dsa import DSA_STRATEGY
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting

# `get_daparam`: DC's own strategy, where there is one. Without augmentation, `main.py` trains for fewer epochs.
DC_STRATEGIES = {"mnist": "dc:crop_scale_rotate"}
PLAIN_EPOCHS, EPOCHS = 300, 1000


def _recipe(setting: Setting, epochs: int, augment: str) -> Recipe:
    """Its loops run over `range(Epoch + 1)`, and the rate falls after the epoch numbered `Epoch // 2 + 1` from 0."""
    milestones = ((epochs // 2 + 2, epochs + 1),)
    return Recipe(
        loss="ce",
        optimizer=Optimizer("sgd", setting.learning_rate or 0.01, 5e-4, momentum=0.9),
        schedule=Schedule("multistep", milestones=milestones, gamma=0.1, restart=True),
        epochs=epochs + 1,
        batch_size=256,
        augment=augment,
        single_operation=True,
        evaluations=1,
    )


def dc(setting: Setting) -> Recipe:
    """DC's: its own augmentation on MNIST, none elsewhere."""
    augment = DC_STRATEGIES.get(setting.dataset, "none")
    return _recipe(setting, PLAIN_EPOCHS if augment == "none" else EPOCHS, augment)


def dsa(setting: Setting) -> Recipe:
    """DSA's, which is also DM's and MTT's: one operation of DSA's strategy for each batch."""
    return _recipe(setting, EPOCHS, DSA_STRATEGY)
