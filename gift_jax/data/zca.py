"""ZCA whitening, in which DATM's images are: fitted on the training set in one pass, applied to test images.

Reference: kornia.enhance.ZCAWhitening, which the official code fits with eps 0.1.
"""

import contextlib
import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save_file

from gift_jax.errors import GiftError
from gift_jax.runtime.files import atomic_write, os_errors_as_gift_error
from gift_jax.runtime.progress import display

EPS = 0.1

_FORMAT = "gift_jax zca 1"
_CHUNK = 1024  # images whitened at a time


@dataclasses.dataclass(frozen=True, eq=False)
class ZCA:
    """A whitening `(x - mean) @ matrix` of images flattened as channel, row, column, with pixels in [0, 1].

    mean: float32 [D]; matrix: float32 [D, D], symmetric; channels: C of D = C * S * S; eps: added to variances.
    """

    mean: np.ndarray
    matrix: np.ndarray
    channels: int
    eps: float = EPS

    def __post_init__(self) -> None:
        size, channels = len(self.mean), self.channels
        if self.mean.shape != (size,) or self.matrix.shape != (size, size) or size != channels * self.side**2:
            shapes = f"{list(self.mean.shape)}, matrix {list(self.matrix.shape)}"
            raise GiftError(f"the whitening has mean {shapes} for {channels} channels; fit it again")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.matrix).all()):
            raise GiftError("the whitening holds values that are not finite; fit it again")

    @property
    def side(self) -> int:
        """Side of the images in pixels."""
        return round((len(self.mean) / self.channels) ** 0.5) if self.channels > 0 else 0

    def whiten(self, images: np.ndarray) -> np.ndarray:
        """Whiten images [N, S, S, C], uint8 or floats in [0, 1]. Returns: float32 [N, S, S, C]."""
        side, channels = self.side, self.channels
        if images.shape[1:] != (side, side, channels):
            shapes = f"{list(images.shape[1:])}, but the whitening is of {[side, side, channels]}"
            raise GiftError(f"images are {shapes}; fit it to these")
        white = np.empty(images.shape, np.float32)
        for start in range(0, len(images), _CHUNK):
            rows = (_flat(images[start : start + _CHUNK], np.float32) - self.mean) @ self.matrix
            white[start : start + _CHUNK] = rows.reshape(-1, channels, side, side).transpose(0, 2, 3, 1)
        return white


def fit_zca(batches: Iterable[np.ndarray], *, eps: float = EPS, total: int | None = None) -> ZCA:
    """Fit ZCA whitening in one pass: W = U diag((S + eps)^-1/2) U^T of the covariance U diag(S) U^T over N - 1.

    Only D x D sums are kept, in float64: 1.2 GB for 64 x 64 x 3. Args: batches, images [B, S, S, C], uint8 or floats in
    [0, 1]; total, how many images, shows progress.
    """
    count, shape = 0, None
    sums = squares = np.zeros(0)
    progress = display("fitting ZCA", total, "images") if total else contextlib.nullcontext(lambda done, status: None)
    with progress as advance:
        for images in batches:
            if shape is None:
                shape, size = images.shape[1:], int(np.prod(images.shape[1:]))
                sums, squares = np.zeros(size), np.zeros((size, size))
            if images.shape[1:] != shape or len(shape) != 3 or shape[0] != shape[1]:
                raise GiftError(f"a batch to whiten is {list(images.shape)}, expected [B, S, S, C] of one size")
            flat = _flat(images, np.float64)
            sums += flat.sum(0)
            squares += flat.T @ flat
            count += len(flat)
            advance(len(flat), "")
    if shape is None or count < 2:
        raise GiftError(f"whitening is fitted to two images at least, and there are {count}; check the training set")
    mean = sums / count
    # Rounding makes the variances of constant directions slightly negative.
    variances, vectors = np.linalg.eigh((squares - count * np.outer(mean, mean)) / (count - 1))
    matrix = (vectors / np.sqrt(np.maximum(variances, 0) + eps)) @ vectors.T
    return ZCA(mean.astype(np.float32), matrix.astype(np.float32), shape[2], eps)


def save_zca(path: Path | str, zca: ZCA) -> None:
    """Write a whitening as safetensors, whole or not at all."""
    metadata = {"format": _FORMAT, "channels": str(zca.channels), "eps": repr(zca.eps)}
    with atomic_write(Path(path)) as temporary, os_errors_as_gift_error(Path(path)):
        save_file({"mean": zca.mean, "matrix": zca.matrix}, temporary, metadata)


def load_zca(path: Path | str) -> ZCA:
    """Read a file that `save_zca` wrote. Raises: GiftError if it is missing, damaged or something else."""
    path = Path(path)
    if not path.is_file():
        raise GiftError(f"{path}: no such file; fit the whitening again")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            metadata, arrays = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("format") != _FORMAT:
            raise GiftError("a safetensors file, but not a whitening; fit it again")
        return ZCA(arrays["mean"], arrays["matrix"], int(metadata["channels"]), float(metadata["eps"]))
    except (GiftError, safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise GiftError(f"{path}: no readable whitening ({error}); fit it again") from None


def _flat(images: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    """Pixels in [0, 1], [N, C * H * W]: flattened as PyTorch's channel-first images are."""
    if images.dtype != np.uint8 and not (images.min() >= 0 and images.max() <= 1):
        raise GiftError("images to whiten must be uint8, or floats in [0, 1]; give them before any normalisation")
    flat = images.transpose(0, 3, 1, 2).reshape(len(images), -1).astype(dtype)
    return flat / dtype(255) if images.dtype == np.uint8 else flat
