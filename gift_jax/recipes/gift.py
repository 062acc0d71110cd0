"""GIFT's official recipe. Reference: `eval_syn_data.py` and `validate/evaluator_benchmark.py` of LINs-lab/GIFT."""

from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe, official_batch_size
from gift_jax.recipes.setting import Setting

LEARNING_RATES = {"swin_v2_t": 1e-4, "vit_b_16": 1e-4}
EPOCHS = {"imagenet-1k": 300}
# RDED's mosaics are taken apart only here; elsewhere the official code shows them whole.
MOSAICS = {("rded", "imagenet-1k", "resnet18"): 2}


def recipe(setting: Setting) -> Recipe:
    """AdamW, multi-step rate, DSA, the GIFT loss: for every method, dataset and model."""
    return Recipe(
        optimizer=Optimizer(learning_rate=LEARNING_RATES.get(setting.model, 1e-3)),
        epochs=EPOCHS.get(setting.dataset, 1000),
        batch_size=official_batch_size(setting.num_images),
        factor=MOSAICS.get((setting.method, setting.dataset, setting.model), 1),
    )
