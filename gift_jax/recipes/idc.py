"""IDC's recipes: hard labels, no teacher, CutMix. Its students are ConvNet-3 and, on ImageNet, `resnet_ap10`.

Reference: snu-mllab/Efficient-Dataset-Condensation, `argument.py`, `test.py`, `train.py` and `transform_imagenet` of
`data.py`; `misc/utils.py` has the colours. Images a class are counted as they are shown: those that a stored image of
multi-formation holds are each one.
A difference: on ImageNet it tests on images whose shorter side is scaled to 224 pixels, and here it is to 256.
"""

import dataclasses

from gift_jax.data.datasets import get_dataset
from gift_jax.errors import GiftError
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.recipes.setting import Setting

# DSA's strategy, without the cutout that CutMix stands in for.
STRATEGY = "color_crop_flip_scale_rotate"
SMALL = ("cifar10", "cifar100", "svhn", "mnist", "fashion-mnist")
# Epochs on ImageNet, by the largest number of images a class that has them; 300 for more.
EPOCHS = ((1, 3000), (10, 2000), (50, 1500), (200, 1000), (500, 500))
LARGEST = 100  # classes of a subset of ImageNet
CLASSES = 100  # from so many on, a subset has a learning rate of its own

_COMMON = Recipe(
    loss="ce",
    optimizer=Optimizer("sgd", 0.01, 5e-4, momentum=0.9),
    epochs=1000,
    batch_size=64,
    mix="cutmix",
)
_SMALL = dataclasses.replace(_COMMON, augment=STRATEGY, mix_probability=0.5)
_IMAGENET = dataclasses.replace(_COMMON, augment="flip", smallest_crop=0.5, jitter=0.4, lighting=0.1)


def imagenet(name: str, setting: Setting) -> Recipe:
    """For a subset of ImageNet, at the rate of ten classes. Raises: GiftError for other datasets."""
    classes = get_dataset(setting.dataset).num_classes
    if not setting.dataset.startswith("imagenet-") or classes > LARGEST:
        raise GiftError(
            f"recipe {name!r} has no settings for {setting.dataset}, only for subsets of ImageNet of at most {LARGEST} "
            f"classes{', ' + ', '.join(SMALL) if name == 'idc' else ''}; choose another recipe, or write a Recipe"
        )
    epochs = next((epochs for limit, epochs in EPOCHS if setting.ipc <= limit), 300)
    return dataclasses.replace(_IMAGENET, epochs=epochs * 2 // 3 // 100 * 100 if classes == CLASSES else epochs)


def recipe(setting: Setting) -> Recipe:
    """By dataset; two of the small ones are not mixed where that is said to be better."""
    if setting.dataset not in SMALL:
        found = imagenet("idc", setting)
        if get_dataset(setting.dataset).num_classes < CLASSES:
            return found
        return dataclasses.replace(found, optimizer=Optimizer("sgd", 0.1, 1e-4, momentum=0.9), batch_size=128)
    if setting.dataset == "svhn" and setting.ipc == 1:
        return dataclasses.replace(_SMALL, mix="none", mix_probability=1.0, augment="color_crop_cutout_scale_rotate")
    if setting.dataset == "mnist" and setting.formed:
        return dataclasses.replace(_SMALL, mix="none", mix_probability=1.0)
    return _SMALL
