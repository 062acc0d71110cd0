"""RDED's synthesis: the crops that the teacher is surest of, stitched into mosaics.

For each class, several random crops of each real image are scored by the teacher's cross-entropy; the best
crop of each image is kept, and the best `ipc * factor^2` of those fill ipc mosaics of factor x factor cells.
Reference: RDED (Sun et al., CVPR 2024), section 4, and the authors' `synthesize/main.py`, which truncates
pixels to whole numbers and stores JPEG; here they are rounded and stored without loss.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.data.datasets import Normalisation
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.network_input import to_input
from gift_jax.errors import GiftError
from gift_jax.evaluate import in_batches
from gift_jax.losses import ce
from gift_jax.models import Model, Variables
from gift_jax.pixels.crops import resized_box
from gift_jax.runtime.seeds import check_seeds
from gift_jax.teachers.teacher import Teacher

_CHUNK = 100  # images scored at a time


@dataclasses.dataclass(frozen=True)
class RDED:
    """Settings of the synthesis: crops an image, real images a class, cells a side, smallest crop's area share.

    Reference: RDED (Sun et al., CVPR 2024), section 4.
    """

    factor: int = 1
    num_crops: int = 5
    images_per_class: int = 300
    smallest_area: float = 0.08

    def __post_init__(self) -> None:
        if min(self.factor, self.num_crops, self.images_per_class) < 1:
            raise GiftError("`factor`, `num_crops` and `images_per_class` must be 1 or more")
        if not 0 < self.smallest_area <= 1:
            raise GiftError(f"`smallest_area` must be above 0 and at most 1, not {self.smallest_area}")


def random_crops(key: jax.Array, images: jax.Array, settings: RDED, size: int) -> jax.Array:
    """Random square crops, resized: areas uniform in [smallest_area, 1] of the image, places uniform.

    Args: images, float [B, H, W, C]. Returns: float [num_crops, B, size, size, C].
    Reference: torchvision's `RandomResizedCrop(size, ratio=(1, 1), antialias=True)`.
    """
    height, width = images.shape[1:3]

    def crop(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, 3)
        areas = jax.random.uniform(keys[0], images.shape[:1], minval=settings.smallest_area, maxval=1.0)
        side = jnp.round(jnp.sqrt(areas * (height * width))).astype(jnp.int32)
        side = jnp.clip(side, 1, min(height, width))
        top = jax.random.randint(keys[1], side.shape, 0, height - side + 1)
        left = jax.random.randint(keys[2], side.shape, 0, width - side + 1)
        return resized_box(images, top, left, side, side, size)

    return jnp.stack([crop(k) for k in jax.random.split(key, settings.num_crops)])


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def best_crops(
    model: Model,
    normalisation: Normalisation,
    settings: RDED,
    params: Variables,
    images: jax.Array,
    labels: jax.Array,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The crop of each image that the teacher (model, params) is surest of.

    Args: images, uint8 [B, H, W, C]; labels, int [B]. Returns: crops, float [B, s, s, C] in [0, 1] with
    s = image_size // factor, and their cross-entropies [B], in nats. Crops are scored in a frame of zeros of
    the teacher's input size, as RDED does, rather than enlarged.
    """
    size = model.spec.image_size
    crops = random_crops(key, images.astype(jnp.float32) / 255, settings, size // settings.factor)

    def score(patches: jax.Array) -> jax.Array:
        logits, _ = model.apply(params, {}, _framed(to_input(patches, "raw", normalisation), size))
        return ce(logits, logits, labels)

    scores = jnp.stack([score(patches) for patches in crops])
    best, places = jnp.argmin(scores, axis=0), jnp.arange(len(labels))
    return crops[best, places], scores[best, places]


def _framed(images: jax.Array, size: int) -> jax.Array:
    missing = size - images.shape[1]
    border = (missing // 2, missing - missing // 2)
    return jnp.pad(images, ((0, 0), border, border, (0, 0)))


def stitch(patches: np.ndarray, ipc: int, factor: int, size: int) -> np.ndarray:
    """Lay patches out as ipc mosaics of factor x factor cells; cell k holds patches k*ipc to (k+1)*ipc - 1.

    Args: patches, [ipc * factor^2, s, s, C], surest first. Returns: [ipc, size, size, C]. Where factor does not
    divide size, the first cells are a pixel larger, their patches enlarged by nearest neighbour.
    """
    mosaics = np.zeros((ipc, size, size, patches.shape[-1]), patches.dtype)
    cells = np.array_split(np.arange(size), factor)
    nearest = [np.arange(len(cell)) * patches.shape[1] // len(cell) for cell in cells]
    for k, (row, column) in enumerate(itertools.product(range(factor), repeat=2)):
        cell = patches[k * ipc : (k + 1) * ipc][:, nearest[row]][:, :, nearest[column]]
        mosaics[:, cells[row][:, None], cells[column]] = cell
    return mosaics


def synthesize(
    images: np.ndarray, labels: np.ndarray, teacher: Teacher, *, ipc: int, settings: RDED | None = None, seed: int = 0
) -> DistilledSet:
    """Make a distilled set from labelled images and a teacher.

    Args: images, uint8 [N, H, W, C], square or not; labels, int [N]; ipc, images a class of the result.
    Returns: raw uint8 images of the teacher's input size, class by class, the surest first. Raises: GiftError.
    Reference: RDED (Sun et al., CVPR 2024), section 4, and the authors' `synthesize/main.py`.
    """
    settings = settings or RDED()
    mosaics = []
    for label in range(teacher.info.num_classes):
        rows = choose_rows(labels, label, ipc, settings, seed)
        mosaics.append(synthesize_class(images[rows], label, teacher, ipc=ipc, settings=settings, seed=seed))
    return assemble(mosaics, teacher, settings, seed)


def choose_rows(labels: np.ndarray, label: int, ipc: int, settings: RDED, seed: int) -> np.ndarray:
    """Rows of the real images that a class is made from, drawn at random. Raises: GiftError if it has too few."""
    members = np.flatnonzero(labels == label)
    check_seeds([seed])
    chosen = np.asarray(jax.random.permutation(_class_key(seed, label), members))[: settings.images_per_class]
    if len(chosen) < (needed := ipc * settings.factor**2):
        more = ", or raise `images_per_class`" if len(members) >= needed else ""
        raise GiftError(
            f"class {label} has {len(chosen)} usable images, but ipc {ipc} with factor {settings.factor} needs "
            f"{needed}; lower `ipc` or `factor`{more}"
        )
    return chosen


def _class_key(seed: int, label: int) -> jax.Array:
    return jax.random.fold_in(jax.random.key(seed), label)


def synthesize_class(
    images: np.ndarray, label: int, teacher: Teacher, *, ipc: int, settings: RDED, seed: int
) -> np.ndarray:
    """Make one class. Args: images, uint8 [N, H, W, C], all of the class. Returns: uint8 [ipc, S, S, C]."""
    labels, starts = np.full(_CHUNK, label, np.int32), itertools.count(step=_CHUNK)

    def best(chunk: np.ndarray) -> tuple[jax.Array, jax.Array]:
        key = jax.random.fold_in(_class_key(seed, label), next(starts))
        return best_crops(teacher.model, teacher.info.normalisation, settings, teacher.params, chunk, labels, key)

    patches, scores = in_batches(best, _CHUNK, images)
    surest = np.argsort(scores, kind="stable")[: ipc * settings.factor**2]
    mosaics = stitch(patches[surest], ipc, settings.factor, teacher.info.image_size)
    return np.rint(mosaics * 255).astype(np.uint8)


def assemble(classes: Sequence[np.ndarray], teacher: Teacher, settings: RDED, seed: int) -> DistilledSet:
    """The distilled set of all classes' images, each uint8 [ipc, S, S, C]."""
    info, ipc = teacher.info, len(classes[0])
    labels = np.repeat(np.arange(info.num_classes, dtype=np.int32), ipc)
    made = provenance(teacher, settings, seed)
    return DistilledSet(np.concatenate(classes), labels, None, "raw", info.dataset, "rded", ipc, made)


def provenance(teacher: Teacher, settings: RDED, seed: int) -> dict[str, str]:
    """What a set records of how it was made."""
    return {"teacher_sha256": teacher.info.source_sha256, "seed": str(seed), "settings": str(settings)}
