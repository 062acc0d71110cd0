"""NumPy's `.npy` files: the header, checked before any value is read, so that nothing in a file decides the memory."""

import io
import math
from typing import IO, NamedTuple

import numpy as np

from gift_jax.errors import GiftError, short_reason
from gift_jax.readers.source import Source, readable

SUFFIX = ".npy"


class Header(NamedTuple):
    """Shape and kind of the values."""

    shape: tuple[int, ...]
    dtype: np.dtype


def read_header(label: str, stream: IO[bytes], size: int) -> Header:
    """Read the header of a `.npy` file of size bytes. The stream then stands at the values.

    Raises: GiftError if they are objects, in Fortran order, or not as many as the header says.
    """
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(stream)
    except Exception as error:  # the header is parsed as Python, and what is wrong with it can be anything
        raise GiftError(f"{label} has no header of an array ({short_reason(error)}); copy it again") from None
    if dtype.hasobject:
        raise GiftError(f"{label} holds Python objects, which are not loaded; save it as plain numbers")
    if fortran and len(shape) > 1:
        raise GiftError(f"{label} is in Fortran order; save it again from np.ascontiguousarray")
    if math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise GiftError(f"{label} is not as long as its header says; copy it again")
    return Header(shape, dtype)


def read_npy(source: Source, name: str, limit: int) -> np.ndarray:
    """A whole array of at most limit bytes. Raises: GiftError if it is damaged or larger."""
    label, content = f"{source.label}: {name!r}", source.read(name, limit)
    with readable(label):
        stream = io.BytesIO(content)
        header = read_header(label, stream, len(content))
        return np.frombuffer(content, header.dtype, offset=stream.tell()).reshape(header.shape)
