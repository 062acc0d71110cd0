"""Scalar event files for those who watch runs live; tensorboardX writes them without TensorFlow."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from gift_jax.errors import needing
from gift_jax.runtime.files import os_errors_as_gift_error
from gift_jax.studies.grid import Log, Watch


def make_writer(directory: Path) -> Log:
    """Build what writes a cell's scalars to an event file in its own directory in directory, while it runs.

    Raises: GiftError if tensorboardX is not installed, or, when a cell begins, if its directory cannot be written.
    """
    with needing("tensorboard", "`tensorboard` needs tensorboardX"):
        from tensorboardX import SummaryWriter

    @contextlib.contextmanager
    def log(cell: str) -> Iterator[Watch]:
        path = directory / re.sub(r"[^\w.-]+", "_", cell)
        with os_errors_as_gift_error(path):
            writer = SummaryWriter(str(path))
        with writer:
            yield writer.add_scalar

    return log
