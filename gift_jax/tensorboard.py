"""Scalar event files for those who watch runs live; tensorboardX writes them without TensorFlow."""

import re
from pathlib import Path
from typing import Any

from gift_jax.errors import GiftError
from gift_jax.files import reported
from gift_jax.grid import Log


def make_writer(directory: Path) -> Log:
    """Build `(cell, curve, value, epoch)` that writes a scalar to the cell's own directory in directory.

    Raises: GiftError if tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise GiftError("--tensorboard needs tensorboardX; run `pip install 'gift-jax[tensorboard]'`") from None
    current: dict[str, Any] = {}

    def log(cell: str, curve: str, value: float, epoch: int) -> None:
        name = re.sub(r"[^\w.-]+", "_", cell)
        if name not in current:  # cells follow one another: the last one's file is complete
            for writer in current.values():
                writer.close()
            current.clear()
            with reported(directory / name):
                current[name] = SummaryWriter(str(directory / name))
        current[name].add_scalar(curve, value, epoch)

    return log
