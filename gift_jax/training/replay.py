"""Training from stored soft labels: batches as they were when the teacher saw them, and its logits.

Crops, flips, mixing and order come from the files of `gift_jax.data.stored_labels` instead of from keys.
"""

import dataclasses

import jax
import jax.numpy as jnp

from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import DistilledSet, PixelSpace
from gift_jax.data.network_input import to_input
from gift_jax.data.stored_info import StoredBatches, StoredInfo
from gift_jax.data.stored_labels import set_digest
from gift_jax.errors import GiftError
from gift_jax.losses import reads_levels
from gift_jax.pixels.crops import resized_box, resized_box_bytes
from gift_jax.pixels.mixing import mixup
from gift_jax.pixels.resampling import take_images
from gift_jax.recipes.recipe import Recipe


def adapt_recipe(recipe: Recipe, info: StoredInfo) -> Recipe:
    """The recipe as it runs on stored labels: batches and mixing are theirs, augmentation is in them.

    Phases of hard labels draw crops as the recipe has them, so that augmentation stays in a recipe with phases.
    Raises: GiftError if it asks for another batch size, for more epochs than are stored, for parts of them, or for a
    loss that reads what the labels do not tell.
    """
    if info.draw == "stored" and (wanted := recipe.soft_epochs(recipe.epochs)) > info.whole_epochs:
        raise GiftError(
            f"{wanted} epochs are asked for, soft labels are stored for {info.whole_epochs}; lower epochs, or "
            "import them with --draw"
        )
    if recipe.batch_size not in (None, info.batch_size):
        raise GiftError(
            f"batch_size is {recipe.batch_size}, but soft labels are stored in batches of {info.batch_size}; set it to "
            f"{info.batch_size} or None"
        )
    if recipe.max_steps not in (None, info.steps):
        raise GiftError("max_steps cannot cut epochs of stored soft labels short; leave it out")
    for _, one in recipe.parts:
        _check_loss(one, info)
    stored = {"batch_size": info.batch_size, "mix": info.mix, "max_steps": info.steps if info.drop_last else None}
    if recipe.phases:
        return dataclasses.replace(recipe, **stored)
    none = {"factor": 1, "shuffle": 1, "smallest_crop": None, "jitter": 0.0, "lighting": 0.0, "mix_probability": 1.0}
    return dataclasses.replace(recipe, **stored, augment="none", **none)


def _check_loss(recipe: Recipe, info: StoredInfo) -> None:
    if not reads_levels(recipe.loss, dict(recipe.loss_options)):
        return
    reads = f"loss {recipe.loss!r} reads the teacher's logits as they are, but these soft labels"
    if info.top:
        raise GiftError(f"{reads} have only the {info.top} largest of {info.num_classes}; choose kl, softce or ce")
    if info.temperature and not info.centred:
        raise GiftError(
            f"{reads} are probabilities (T = {info.temperature:g}), which tell logits up to a constant for each image; "
            "choose kl, softce or ce, or import them with --centre, which takes the logits' mean as 0"
        )


def check_set(distilled: DistilledSet, info: StoredInfo) -> None:
    """Whether soft labels are of this very set. Raises: GiftError."""
    if (distilled.dataset, set_digest(distilled)) != (info.dataset, info.distilled):
        raise GiftError(
            f"the soft labels are of another set ({info.num_images} images of {info.dataset}) than this "
            f"{distilled.method} set of {distilled.dataset}; give the file that `convert fkd --distilled` named"
        )


def replay(
    images: jax.Array, batch: StoredBatches, info: StoredInfo, pixel_space: PixelSpace, normalisation: Normalisation
) -> tuple[jax.Array, jax.Array]:
    """Crop, flip, normalise and mix images as a stored batch was.

    Args: images [B, S, S, C], the batch's, as the distilled set has them; batch, a single one.
    Returns: float [B, S, S, C], and the share that each keeps of itself.
    Reference: `ImageFolder_FKD_MIX` and `mix_aug` of VILA-Lab/SRe2L, which crops Pillow images; EDC and HALD crop
    tensors.
    """
    top, left, height, width = (batch.boxes[:, place].astype(jnp.int32) for place in range(4))
    if info.crops == "floats" and images.dtype == jnp.uint8:
        images = images.astype(jnp.float32) / 255
    crop = resized_box_bytes if images.dtype == jnp.uint8 else resized_box
    images = crop(images, top, left, height, width, images.shape[1])
    images = jnp.where(batch.flips[:, None, None, None], images[:, :, ::-1], images)
    return _MIXERS[info.mix](to_input(images, pixel_space, normalisation), batch)


_NONE = -65504.0  # logit of what has no probability: float16's lowest, whose softmax is 0 at every usual temperature


def logits_of(batch: StoredBatches, info: StoredInfo) -> jax.Array:
    """Logits [B, classes], float32, whose softmax is that of the stored labels.

    Classes beyond the largest logits have none, as in LPQLD's code (its marginal re-normalisation). Probabilities
    give logits up to a constant for each image, or with a mean of 0 if `info.centred`.
    """
    labels = batch.logits.astype(jnp.float32)
    if info.top:
        rows = jnp.arange(len(labels))[:, None]
        none = jnp.full((len(labels), info.num_classes), _NONE)
        return none.at[rows, batch.classes.astype(jnp.int32)].set(labels)
    if not info.temperature:
        return labels
    logits = jnp.where(labels > 0, info.temperature * jnp.log(jnp.where(labels > 0, labels, 1)), _NONE)
    return logits - jnp.mean(logits, axis=1, keepdims=True) if info.centred else logits


def weights_of(batch: StoredBatches) -> jax.Array | None:
    """Weights of the images' losses, float32 [B], with a mean of 1, as WMDD's code has them; None: all alike."""
    return None if batch.weights is None else batch.weights / jnp.mean(batch.weights)


def _cutmix(images: jax.Array, batch: StoredBatches) -> tuple[jax.Array, jax.Array]:
    first_row, first_column, last_row, last_column = batch.mix_boxes.astype(jnp.int32)
    rows, columns = jnp.arange(images.shape[1]), jnp.arange(images.shape[2])
    inside_rows = (rows >= first_row) & (rows < last_row)
    inside_columns = (columns >= first_column) & (columns < last_column)
    inside = inside_rows[:, None] & inside_columns[None, :]
    mixed = jnp.where(inside[None, :, :, None], take_images(images, batch.partners), images)
    return mixed, 1 - jnp.mean(inside, dtype=images.dtype)


_MIXERS = {
    "none": lambda images, batch: (images, jnp.ones((), images.dtype)),
    "mixup": lambda images, batch: (mixup(images, batch.partners, batch.shares), batch.shares.astype(images.dtype)),
    "cutmix": _cutmix,
}
