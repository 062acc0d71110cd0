"""Multi-formation: a stored image holds several smaller ones.

A stored image holds factor x factor smaller ones, and students are shown those, enlarged. Reference: `decode_zoom` of
`test.py`, snu-mllab/Efficient-Dataset-Condensation (IDC); DREAM and NCFM decode in the same way. Its other types,
`multi` and `bound`, are not what the three evaluate by.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F

from gift_jax.errors import GiftError

from .content import allocated

PADDING = 0.5  # grey, of pixels in [0, 1], where the side is no multiple of the factor


def decode(label: str, images: np.ndarray, labels: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut images, float32 [N, S, S, C], into cells and enlarge each to S pixels (bilinear): [N * factor^2, S, S, C].

    Class by class, and in a class the first cell of all its images, then the second, along the rows of cells.
    Args: label, their source for messages; labels, int32 [N]. Returns: them, and the rows that they are cut out of.
    """
    count, side, _, channels = images.shape
    if factor > side:
        raise GiftError(f"{label}: --factor is {factor}, but images have {side} pixels a side; give what they hold")
    cell = -(-side // factor)
    shape = (count * factor**2, side, side, channels)
    decoded = allocated(shape, np.float32, f"{label}: its decoded images")
    stored, rows, start = torch.from_numpy(images).permute(0, 3, 1, 2), [], 0
    for number in np.unique(labels):
        rows.append(np.flatnonzero(labels == number))
        chosen = stored[torch.from_numpy(rows[-1])].contiguous()
        padded = F.pad(chosen, (0, cell * factor - side) * 2, value=PADDING)
        for top, left in itertools.product(range(0, cell * factor, cell), repeat=2):
            cells = padded[:, :, top : top + cell, left : left + cell]
            enlarged = F.interpolate(cells, size=(side, side), mode="bilinear")
            decoded[start : start + len(cells)] = enlarged.permute(0, 2, 3, 1).numpy()
            start += len(cells)
    return decoded, np.concatenate([np.tile(places, factor**2) for places in rows])
