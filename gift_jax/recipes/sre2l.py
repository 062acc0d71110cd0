"""SRe2L's recipes: KL under a teacher.

Reference: `validate/train_FKD.py`, `*small_dataset/relabel_cifar.py` of VILA-Lab/SRe2L, `classification/train_kd.py`
and `script/train_kd.sh` of zeyuanyin/tiny-imagenet.
"""

from gift_jax.data.datasets import CIFAR_NORMALISATION, IMAGENET_NORMALISATION, Normalisation
from gift_jax.optim import Optimizer, Schedule
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting, of_dataset

TINY = Normalisation((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262))

RECIPES = {
    "imagenet-1k": Recipe(
        loss="kl",
        loss_options=(("temperature", 20.0),),
        optimizer=Optimizer("adamw", 1e-3, 0.01, decay_vectors=False),
        schedule=Schedule("cosine"),
        epochs=300,
        batch_size=1024,
        augment="flip",
        smallest_crop=0.08,
        mix="cutmix",
        normalisation=IMAGENET_NORMALISATION,
        evaluations=30,
    ),
    "tinyimagenet": Recipe(
        loss="kl",
        loss_options=(("temperature", 20.0), ("t_squared", True)),
        optimizer=Optimizer("sgd", 0.2, 1e-4, momentum=0.9),
        schedule=Schedule("cosine", warmup_epochs=5, warmup_start=0.01),
        epochs=100,
        batch_size=256,
        augment="flip",
        smallest_crop=0.08,
        normalisation=TINY,
        evaluations=100,
    ),
    "cifar100": Recipe(
        loss="kl",
        loss_options=(("temperature", 30.0),),
        optimizer=Optimizer("adamw", 1e-3, 0.01),
        schedule=Schedule("cosine"),
        epochs=400,
        batch_size=128,
        augment="flip_crop",
        mix="mixup",
        normalisation=CIFAR_NORMALISATION,
        evaluations=40,
    ),
}


def recipe(setting: Setting) -> Recipe:
    """By dataset alone."""
    return of_dataset(RECIPES, "sre2l", setting)
