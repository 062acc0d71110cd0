"""Zip and tar archives as sources, which many threads and processes read again and again, and in any order.

Zips and plain tars are read in place. A compressed tar can only be read from its beginning, and an archive in an
archive in no order at all: these are copied once, uncompressed, to the cache. No member is ever written to disk by its
own name.
"""

import bz2
import contextlib
import gzip
import hashlib
import itertools
import lzma
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Any

from gift_jax.errors import GiftError
from gift_jax.readers import tars, zips
from gift_jax.readers.source import Source, head_of, readable, refuse_stand_in
from gift_jax.runtime.files import atomic_write, cache_directory, os_errors_as_gift_error

CHUNK = 4 << 20  # bytes
SPARED = 1 << 30  # bytes of the cache's disk that unpacking leaves free
_COMPRESSIONS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


def open_archive(path: Path) -> Source | None:
    """The files of a zip or tar archive (compressed or not) on disk; None if it is neither."""
    with os_errors_as_gift_error(path), path.open("rb") as stream:
        return _opened(path, str(path), stream, path)


def open_inner(source: Source, name: str) -> Source | None:
    """The files of an archive in a source; None if it is none. Raises: as `open_archive`."""
    if on_disk := source.on_disk(name):
        return open_archive(on_disk)
    label = source.title(name)
    with readable(label), source.open(name) as stream:
        return _opened(source.path, label, stream, None, name)


def _opened(path: Path, label: str, stream: IO[bytes], plain: Path | None, inside: str = "") -> Source | None:
    """An archive. Args: stream, its bytes; plain, where they lie on disk, None inside an archive (as which member)."""
    head = head_of(stream)
    refuse_stand_in(label, head)
    with readable(label):
        if unpack := next((unpack for mark, unpack in _COMPRESSIONS.items() if head.startswith(mark)), None):
            with unpack(stream) as unpacked:
                plain = _in_cache(path, unpacked, inside)
            return plain and tars.tar_source(path, label, plain)
        plain = plain or _in_cache(path, stream, inside)
        # A zip is known by its end, which a tar of PyTorch's files has too.
        if plain and tarfile.is_tarfile(plain):
            return tars.tar_source(path, label, plain)
        if plain and zipfile.is_zipfile(plain):
            return zips.zip_source(path, label, plain)
    if head.startswith(b"PK"):
        raise GiftError(f"{label}: begins as a zip archive, but is no whole one; download it again")
    return None


def _in_cache(path: Path, stream: IO[bytes], inside: str) -> Path | None:
    """A plain zip or tar in the cache, copied there unless it is; None if the stream holds neither."""
    state = path.stat()
    named = (str(path.resolve()), state.st_size, state.st_mtime_ns, *([inside] if inside else []))
    target = cache_directory("unpacked") / f"{hashlib.sha256(repr(named).encode()).hexdigest()[:24]}.tar"
    if target.is_file():
        return target
    first = stream.read(tarfile.BLOCKSIZE)
    if not first.startswith(b"PK"):
        try:
            tarfile.TarInfo.frombuf(first, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return None
    with atomic_write(target) as temporary, contextlib.ExitStack() as stack:
        with os_errors_as_gift_error(target):
            file = stack.enter_context(temporary.open("wb"))
        for chunk in itertools.chain([first], iter(lambda: stream.read(CHUNK), b"")):
            if shutil.disk_usage(target.parent).free < SPARED:
                raise GiftError(
                    f"{path}: does not fit unpacked on the disk of {target.parent}; free some space there, or name a "
                    "directory on a larger disk by XDG_CACHE_HOME"
                )
            with os_errors_as_gift_error(target):
                file.write(chunk)
    return target
