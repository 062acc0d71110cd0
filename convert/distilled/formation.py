"""Multi-formation: a stored image holds factor x factor smaller ones, and students are shown those, enlarged.

Reference: `decode_zoom` of `test.py`, snu-mllab/Efficient-Dataset-Condensation (IDC); DREAM and NCFM decode in the same
way. Its other types, `multi` and `bound`, are not what the three evaluate by.
"""

import numpy as np
import torch
import torch.nn.functional as F

from gift_jax.errors import GiftError

PADDING = 0.5  # grey, of pixels in [0, 1], where the side is no multiple of the factor


def decode_rows(labels: np.ndarray, factor: int) -> np.ndarray:
    """Rows of the stored images that the decoded ones are cut out of, int64 [N * factor^2].

    Class by class, and in a class the first cell of all its images, then the second, along the rows of cells.
    """
    classes = (np.flatnonzero(labels == number) for number in np.unique(labels))
    return np.concatenate([np.tile(rows, factor**2) for rows in classes])


def decode(label: str, images: np.ndarray, labels: np.ndarray, factor: int) -> np.ndarray:
    """Cut images, float32 [N, S, S, C], into cells and enlarge each to S pixels (bilinear): [N * factor^2, S, S, C].

    Args: label, their source for messages; labels, int32 [N]; the order is that of `decode_rows`.
    """
    count, side, _, channels = images.shape
    if factor > side:
        raise GiftError(f"{label}: --factor is {factor}, but images have {side} pixels a side; give what they hold")
    cell = -(-side // factor)
    try:
        decoded = np.empty((count * factor**2, side, side, channels), np.float32)
    except MemoryError:
        size = f"{count * factor**2 * side**2 * channels * 4 / 2**30:,.0f} GiB"
        raise GiftError(f"{label}: its decoded images take {size} of memory; lower --ipc") from None
    stored = torch.from_numpy(images).permute(0, 3, 1, 2)
    start = 0
    for number in np.unique(labels):
        chosen = stored[torch.from_numpy(np.flatnonzero(labels == number))].contiguous()
        padded = F.pad(chosen, (0, cell * factor - side) * 2, value=PADDING)
        for top in range(0, cell * factor, cell):
            for left in range(0, cell * factor, cell):
                cells = padded[:, :, top : top + cell, left : left + cell]
                enlarged = F.interpolate(cells, size=(side, side), mode="bilinear")
                decoded[start : start + len(cells)] = enlarged.permute(0, 2, 3, 1).numpy()
                start += len(cells)
    return decoded


def describe(side: int, factor: int) -> str:
    """What `decode` did, for a set's provenance."""
    cell = -(-side // factor)
    return (
        f"each stored image is {factor} x {factor} images of {cell} pixels, enlarged to {side} (bilinear), as IDC's "
        "decode_zoom does; in a class the first cell of all its images comes first"
    )
