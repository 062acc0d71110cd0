"""Sets that are made in seconds from real images: by RDED, by a draw, by herding, or by k-means.

They need no training of their own; each is fixed by its seed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from gift_jax import DistilledSet, GiftError, Teacher, rded
from gift_jax.training.identity import digest

# Less than half of a small image shows no digit and no shoe, though the teacher may be sure of one.
CROPS = rded.RDED(smallest_area=0.5)
SEED = 0


def make_set(
    method: str, images: np.ndarray, labels: np.ndarray, teacher: Teacher, ipc: int, crops: rded.RDED = CROPS
) -> DistilledSet:
    """Make a set of a named method from real images, uint8 [N, S, S, C], and their labels. Raises: GiftError."""
    check_method(method, labels, ipc)
    dataset, num_classes = teacher.info.dataset, teacher.info.num_classes
    if method == "rded":
        made = rded.synthesize(images, labels, teacher, ipc=ipc, settings=crops, seed=SEED)
        return dataclasses.replace(made, provenance=_provenance(method, labels, teacher, crops))
    chosen = np.concatenate([METHODS[method](images[labels == label], ipc) for label in range(num_classes)])
    own = np.repeat(np.arange(num_classes, dtype=np.int32), ipc)
    return DistilledSet(chosen, own, None, "raw", dataset, method, ipc, _provenance(method, labels, teacher, crops))


def _provenance(method: str, labels: np.ndarray, teacher: Teacher, crops: rded.RDED) -> dict[str, str]:
    """What a set of a method records of how it was made."""
    if method == "rded":
        # A teacher that was trained here has no file of which there could be a sum.
        return {**rded.provenance(teacher, crops, SEED), "teacher_weights": digest(teacher.params)}
    return {"seed": str(SEED), "made": f"by {method} from {len(labels)} real training images"}


def check_made(
    path: Path,
    found: DistilledSet,
    method: str,
    labels: np.ndarray,
    teacher: Teacher,
    ipc: int,
    crops: rded.RDED = CROPS,
) -> None:
    """Raises: GiftError if a set that was found in a file is not what `make_set` makes, as far as it records that."""
    info, wanted = teacher.info, _provenance(method, labels, teacher, crops)
    differing = [name for name, text in wanted.items() if found.provenance.get(name, "") not in ("", text)]
    pairs = ((found.method, method), (found.dataset, info.dataset), (found.ipc, ipc))
    if differing or any(one != other for one, other in (*pairs, (found.images.shape[1], info.image_size))):
        what = f"{found.method} set of {found.dataset} with {found.ipc} images per class"
        how = f" of another {differing[0].partition('_')[0]}" if differing else ""
        raise GiftError(
            f"{path}: is a {what}{how}, not the {method} set with {ipc} of {info.dataset} under this teacher; give "
            "another --out, or move the file away"
        )


def check_method(method: str, labels: np.ndarray, ipc: int) -> None:
    """Raises: GiftError if no such set can be made of real images with these labels."""
    if method not in METHODS:
        raise GiftError(f"method {method!r} is unknown here; choose of {', '.join(METHODS)}")
    fewest = int(np.bincount(labels).min())
    if not 1 <= ipc <= fewest:
        raise GiftError(f"--ipc must be from 1 to {fewest}, the fewest training images of a class, not {ipc}")


def random_images(images: np.ndarray, ipc: int) -> np.ndarray:
    """Real images, drawn at random."""
    return images[np.random.default_rng(SEED).permutation(len(images))[:ipc]]


def herded_images(images: np.ndarray, ipc: int) -> np.ndarray:
    """Real images whose mean is close to the class's, one after another. Reference: Welling (2009), in pixels."""
    pixels = images.reshape(len(images), -1).astype(np.float64)
    chosen: list[int] = []
    for count in range(1, ipc + 1):
        means = (pixels[chosen].sum(axis=0) + pixels) / count
        distances = np.square(means - pixels.mean(axis=0)).sum(axis=1)
        distances[chosen] = np.inf
        chosen.append(int(np.argmin(distances)))
    return images[chosen]


def cluster_centres(images: np.ndarray, ipc: int) -> np.ndarray:
    """The centres of k-means clusters: averages of like images, which are real ones of nobody's hand."""
    return np.rint(_centres(images, ipc)).astype(np.uint8).reshape(ipc, *images.shape[1:])


def medoids(images: np.ndarray, ipc: int) -> np.ndarray:
    """The real images nearest to the centres of k-means clusters, each taken once."""
    pixels, left = images.reshape(len(images), -1).astype(np.float64), np.ones(len(images), bool)
    chosen = []
    for centre in _centres(images, ipc):
        distances = np.where(left, np.square(pixels - centre).sum(axis=1), np.inf)
        chosen.append(int(np.argmin(distances)))
        left[chosen[-1]] = False
    return images[chosen]


def _centres(images: np.ndarray, ipc: int) -> np.ndarray:
    """Centres of k-means clusters, float [ipc, pixels]."""
    from sklearn.cluster import KMeans

    pixels = images.reshape(len(images), -1).astype(np.float64)
    return KMeans(ipc, n_init=4, random_state=SEED).fit(pixels).cluster_centers_


METHODS: Mapping[str, Callable[[np.ndarray, int], np.ndarray] | None] = MappingProxyType(
    {"rded": None, "random": random_images, "herding": herded_images, "kmeans": cluster_centres, "medoids": medoids}
)
