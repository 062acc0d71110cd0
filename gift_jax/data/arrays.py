"""Images that are stored as arrays, as records: NumPy's `.npz` under the usual names."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gift_jax.data.records import Records, listing_digest
from gift_jax.errors import GiftError
from gift_jax.runtime.files import reported

# Names of images and labels, by split; those without a split serve both.
NAMES = {
    True: (("x_train", "y_train"), ("train_images", "train_labels"), ("X_train", "y_train")),
    False: (("x_test", "y_test"), ("test_images", "test_labels"), ("X_test", "y_test"), ("x_val", "y_val")),
}
EITHER = (("images", "labels"), ("x", "y"), ("data", "targets"), ("data", "labels"), ("image", "label"))


def array_records(images: np.ndarray, labels: np.ndarray, names: Sequence[str], where: Path) -> Records:
    """Records of arrays. Args: images uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]; labels int [N]; names by class.

    Raises: GiftError if these do not fit one another.
    """
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise GiftError(
            f"{where}: images are {images.dtype}{list(images.shape)}, expected uint8 [N, H, W] or [N, H, W, 3]"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise GiftError(
            f"{where}: labels are {labels.dtype}{list(labels.shape)}, expected whole numbers [{len(images)}]"
        )
    if len(labels) and (labels.min() < 0 or labels.max() >= len(names)):
        raise GiftError(f"{where}: labels are {labels.min()} to {labels.max()}, expected 0 to {len(names) - 1}")
    pictures = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images

    def read(row: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pictures[row]).save(buffer, "PPM")  # the fastest that Pillow reads without loss
        return buffer.getvalue()

    return Records(
        labels=labels.astype(np.int32),
        class_names=tuple(names),
        read=read,
        where=lambda row: f"{where}[{row}]",
        digest=listing_digest(where.parent, [where]),
    )


def numbered(labels: np.ndarray) -> tuple[str, ...]:
    """Names of classes that have none: their numbers."""
    return tuple(map(str, range(int(labels.max()) + 1 if len(labels) else 0)))


def has_test_images(path: Path) -> bool:
    """Whether an `.npz`, which `read_npz` could read, keeps test images apart from those that serve for training."""
    with reported(path), np.load(path, allow_pickle=False) as content:
        return any(set(pair) <= set(content.files) for pair in NAMES[False])


def read_npz(path: Path, *, train: bool) -> Records | None:
    """Images and labels of a split in an `.npz`; None if it is another kind of file. Raises: GiftError."""
    if path.suffix != ".npz" or not path.is_file():
        return None
    try:
        with reported(path), np.load(path, allow_pickle=False) as content:
            pair = next((pair for pair in (*NAMES[train], *EITHER) if set(pair) <= set(content.files)), None)
            if pair is None:
                wanted = ", ".join("/".join(names) for names in (*NAMES[train], *EITHER))
                raise GiftError(f"{path}: holds {', '.join(content.files)}; name its images and labels one of {wanted}")
            images, labels = content[pair[0]], np.squeeze(content[pair[1]])
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise GiftError(f"{path}: is no readable .npz ({error}); write it again by numpy.savez") from None
    return array_records(images, labels, numbered(labels) if labels.dtype.kind in "iu" else (), path)
