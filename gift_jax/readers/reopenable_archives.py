"""Archives of images that are read again and again, by many threads and processes at once, and in any order.

A compressed tar can only be read from its beginning: it is unpacked once, to one plain tar in the cache.
"""

import bz2
import contextlib
import functools
import gzip
import hashlib
import io
import lzma
import shutil
import tarfile
import weakref
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from gift_jax.errors import GiftError
from gift_jax.readers.archives import tar_members, zip_members
from gift_jax.readers.image_files import SUFFIXES
from gift_jax.readers.source import HEAD, Source, readable, refuse_stand_in
from gift_jax.runtime.files import atomic_write, cache_directory, os_errors_as_gift_error

COMPRESSIONS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
CHUNK = 4 << 20  # bytes
SPARED = 1 << 30  # bytes of the cache's disk that unpacking leaves free
LARGEST_INNER = 2 << 30  # bytes of an archive inside an archive, which is held in memory


class _Zip:
    """A zip that opens itself when it is first read, in each process anew. Args: place, a path or the content."""

    def __init__(self, label: str, place: Path | bytes) -> None:
        self.label, self.place = label, place

    @functools.cached_property
    def archive(self) -> zipfile.ZipFile:
        if isinstance(self.place, bytes):
            return zipfile.ZipFile(io.BytesIO(self.place))
        file = self.place.open("rb")
        weakref.finalize(self, file.close)
        return zipfile.ZipFile(file)

    @functools.cached_property
    def members(self) -> dict[str, zipfile.ZipInfo]:
        return zip_members(self.label, self.archive)

    def check_skipped(self) -> None:
        """Raises: BadZipFile if a member that no reader opens has two names, one of which an image may have."""
        read = {id(entry) for name, entry in self.members.items() if name.lower().endswith(SUFFIXES)}
        for entry in self.archive.infolist():
            if id(entry) not in read:
                self.archive.open(entry).close()

    def __getstate__(self) -> dict[str, Any]:
        return {"label": self.label, "place": self.place}

    def open(self, name: str) -> IO[bytes]:
        return self.archive.open(self.members[name])


class _Part(io.RawIOBase):
    """Some bytes of a file, with a place of their own in it."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file, self._start, self._size, self._place = path.open("rb", buffering=0), start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence])
        return self._place

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._place)
        left = max(0, self._size - self._place)
        count = self._file.readinto(memoryview(buffer)[:left]) or 0
        self._place += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def lasting_archive(path: Path) -> Source | None:
    """The files of a zip or tar archive (compressed or not) on disk; None if it is neither.

    Raises: GiftError if it is damaged, or if a member is a link, lies outside the archive or comes twice.
    """
    label = str(path)
    with os_errors_as_gift_error(path), path.open("rb") as file:
        head = file.read(HEAD)
    refuse_stand_in(label, head)
    packed = next((opener for mark, opener in COMPRESSIONS.items() if head.startswith(mark)), None)
    with readable(label):
        if packed:
            plain = _unpacked(path, packed)
            return plain and _tar(path, label, plain)
        if tarfile.is_tarfile(path):
            return _tar(path, label, path)
        if zipfile.is_zipfile(path):
            return _zip(path, label, path)
    if head.startswith(b"PK"):
        raise GiftError(f"{label}: begins as a zip archive, but is no whole one; download it again")
    return None


def inner_archive(source: Source, name: str) -> Source | None:
    """The files of a zip inside an archive, held in memory; None if it is none. Raises: GiftError."""
    label = f"{source.label}: {name!r}"
    content = source.read(name, LARGEST_INNER)
    with readable(label):
        return _zip(source.path, label, content) if zipfile.is_zipfile(io.BytesIO(content)) else None


def _zip(path: Path, label: str, place: Path | bytes) -> Source:
    archive = _Zip(label, place)
    archive.check_skipped()
    sizes = {name: entry.file_size for name, entry in archive.members.items()}
    return Source(path, label, sizes, archive.open, lambda _: None)


def _tar(path: Path, label: str, plain: Path) -> Source:
    with tarfile.open(plain, "r:") as archive:
        members = tar_members(label, archive)
    if sparse := next((name for name, entry in members.items() if entry.issparse()), None):
        raise GiftError(f"{label}: {sparse!r} is stored with holes; make the archive again without them")
    places = {name: (entry.offset_data, entry.size) for name, entry in members.items()}
    sizes = {name: size for name, (_, size) in places.items()}
    return Source(path, label, sizes, lambda name: io.BufferedReader(_Part(plain, *places[name])), lambda _: None)


def _unpacked(path: Path, packed: Callable[[Path], IO[bytes]]) -> Path | None:
    """A compressed tar as a plain one in the cache, made if it is not there; None if it is no tar."""
    state = path.stat()
    key = hashlib.sha256(repr((str(path.resolve()), state.st_size, state.st_mtime_ns)).encode()).hexdigest()[:24]
    target = cache_directory("unpacked") / f"{key}.tar"
    if target.is_file():
        return target
    with packed(path) as stream:
        first = stream.read(tarfile.BLOCKSIZE)
        try:
            tarfile.TarInfo.frombuf(first, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return None
        with atomic_write(target) as temporary, contextlib.ExitStack() as stack:
            with os_errors_as_gift_error(target):
                file = stack.enter_context(temporary.open("wb"))
            _copy(path, stream, first, file, target)
    return target


def _copy(path: Path, stream: IO[bytes], chunk: bytes, file: IO[bytes], target: Path) -> None:
    while chunk:
        if shutil.disk_usage(target.parent).free < SPARED:
            raise GiftError(
                f"{path}: does not fit unpacked on the disk of {target.parent}; free some space there, or name a "
                "directory on a larger disk by XDG_CACHE_HOME"
            )
        with os_errors_as_gift_error(target):
            file.write(chunk)
        chunk = stream.read(CHUNK)
