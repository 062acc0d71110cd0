"""Sets that are made in seconds from real images, each fixed by its seed: by RDED, a draw, herding, or k-means."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from gift_jax import DistilledSet, GiftError, Teacher, load_distilled, rded, save_distilled
from gift_jax.rded import RDED
from gift_jax.training.identity import digest

from .real_images import RealImages

# Less than half of a small image shows no digit and no shoe, though the teacher may be sure of one.
CROPS = RDED(smallest_area=0.5)
SEED = 0


def find_set(
    path: Path, method: str, real: RealImages, teacher: Teacher, ipc: int, crops: RDED = CROPS
) -> DistilledSet:
    """The set in a file, made there if it is missing. Raises: GiftError if another one is there, as far as it says."""
    info = teacher.info
    provenance = {"seed": str(SEED), "made": f"by {method} from {len(real.labels)} real training images"}
    if method == "rded":
        # A teacher that was trained here has no file of which there could be a sum.
        provenance = {**rded.provenance(teacher, crops, SEED), "teacher_weights": digest(teacher.params)}
    if not path.is_file():
        made = make_images(method, real, teacher, ipc, crops)
        classes = np.repeat(np.arange(info.num_classes, dtype=np.int32), ipc)
        save_distilled(path, DistilledSet(made, classes, None, "raw", info.dataset, method, ipc, provenance))
    found = load_distilled(path)
    differing = [name for name, text in provenance.items() if found.provenance.get(name, "") not in ("", text)]
    wanted = (method, info.dataset, ipc, info.image_size)
    if differing or (found.method, found.dataset, found.ipc, found.images.shape[1]) != wanted:
        what = f"{found.method} set of {found.dataset} with {found.ipc} images per class"
        how = f" of another {differing[0].partition('_')[0]}" if differing else ""
        raise GiftError(
            f"{path}: is a {what}{how}, not the {method} set with {ipc} of {info.dataset} under this teacher; give "
            "another --out, or move the file away"
        )
    return found


def make_images(method: str, real: RealImages, teacher: Teacher, ipc: int, crops: RDED) -> np.ndarray:
    """The images of a set, class after class."""
    check_method(method, real, ipc)
    images, labels = real.images, real.labels
    if method == "rded":
        return rded.synthesize(images, labels, teacher, ipc=ipc, settings=crops, seed=SEED).images
    classes = range(teacher.info.num_classes)
    return np.concatenate([METHODS[method](images[labels == label], ipc) for label in classes])


def check_method(method: str, real: RealImages, ipc: int) -> None:
    """Raises: GiftError if no such set can be made of these images."""
    if method not in METHODS:
        raise GiftError(f"method {method!r} is unknown here; choose of {', '.join(METHODS)}")
    if not 1 <= ipc <= real.smallest:
        raise GiftError(f"--ipc must be from 1 to {real.smallest}, the fewest training images of a class, not {ipc}")


def random_images(images: np.ndarray, ipc: int) -> np.ndarray:
    """Real images, drawn at random."""
    return images[np.random.default_rng(SEED).permutation(len(images))[:ipc]]


def herded_images(images: np.ndarray, ipc: int) -> np.ndarray:
    """Real images whose mean is close to the class's, one after another. Reference: Welling (2009), in pixels."""
    pixels = _pixels(images)
    chosen: list[int] = []
    for count in range(1, ipc + 1):
        means = (pixels[chosen].sum(axis=0) + pixels) / count
        chosen.append(_nearest(means, pixels.mean(axis=0), chosen))
    return images[chosen]


def cluster_centres(images: np.ndarray, ipc: int) -> np.ndarray:
    """The centres of k-means clusters: averages of like images, which are real ones of nobody's hand."""
    return np.rint(_centres(images, ipc)).astype(np.uint8).reshape(ipc, *images.shape[1:])


def medoids(images: np.ndarray, ipc: int) -> np.ndarray:
    """The real images nearest to the centres of k-means clusters, each taken once."""
    pixels, chosen = _pixels(images), []
    for centre in _centres(images, ipc):
        chosen.append(_nearest(pixels, centre, chosen))
    return images[chosen]


def _nearest(points: np.ndarray, target: np.ndarray, taken: list[int]) -> int:
    """The row of the point that is nearest to the target, but for those that are taken."""
    distances = np.square(points - target).sum(axis=1)
    distances[taken] = np.inf
    return int(np.argmin(distances))


def _centres(images: np.ndarray, ipc: int) -> np.ndarray:
    """Centres of k-means clusters, float [ipc, pixels]."""
    from sklearn.cluster import KMeans

    return KMeans(ipc, n_init=4, random_state=SEED).fit(_pixels(images)).cluster_centers_


def _pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)


METHODS: Mapping[str, Callable[[np.ndarray, int], np.ndarray] | None] = {
    "rded": None, "random": random_images, "herding": herded_images, "kmeans": cluster_centres, "medoids": medoids,
}  # fmt: skip
