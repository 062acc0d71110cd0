"""Zip and tar archives as sources, which many threads and processes read again and again, and in any order.

Zips and plain tars are read in place. A compressed tar can only be read from its beginning, and an archive in an
archive in no order at all: these are copied once, uncompressed, to the cache. No member is ever written to disk by its
own name.
"""

import bz2
import functools
import gzip
import hashlib
import io
import itertools
import lzma
import shutil
import stat
import tarfile
import weakref
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, TypeVar

from gift_jax.errors import GiftError
from gift_jax.readers.image_files import SUFFIXES
from gift_jax.readers.source import Source, head_of, readable, refuse_stand_in, visible
from gift_jax.runtime.files import atomic_write, cache_directory, file_state, os_errors_as_gift_error

CHUNK = 4 << 20  # bytes
SPARED = 1 << 30  # bytes of the cache's disk that unpacking leaves free
MOST_MEMBERS = 5_000_000  # ImageNet-1K has 1.3 million; a compressed list of members could otherwise fill the memory
_COMPRESSIONS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_LISTED = b"PK\x01\x02"  # how each entry begins in the list of members at a zip's end

Entry = TypeVar("Entry", zipfile.ZipInfo, tarfile.TarInfo)


def open_archive(path: Path) -> Source | None:
    """The files of a zip or tar archive (compressed or not) on disk; None if it is neither."""
    with os_errors_as_gift_error(path), path.open("rb") as stream:
        return _opened(path, str(path), stream, path)


def open_inner(source: Source, name: str) -> Source | None:
    """The files of an archive in a source; None if it is none."""
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
            return plain and _open_tar(path, label, plain)
        plain = plain or _in_cache(path, stream, inside)
        # A zip is known by its end, which a tar of PyTorch's files has too.
        if plain and tarfile.is_tarfile(plain):
            return _open_tar(path, label, plain)
        if plain and zipfile.is_zipfile(plain):
            return _open_zip(path, label, plain)
    if head.startswith(b"PK"):
        raise GiftError(f"{label}: begins as a zip archive, but is no whole one; download it again")
    return None


def _in_cache(path: Path, stream: IO[bytes], inside: str) -> Path | None:
    """A plain zip or tar in the cache, copied there unless it is; None if the stream holds neither."""
    named = (str(path.resolve()), *file_state(path), *([inside] if inside else []))
    target = cache_directory("unpacked") / f"{hashlib.sha256(repr(named).encode()).hexdigest()[:24]}.tar"
    if target.is_file():
        return target
    first = stream.read(tarfile.BLOCKSIZE)
    if not first.startswith(b"PK"):
        try:
            tarfile.TarInfo.frombuf(first, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            return None
    with atomic_write(target) as temporary, temporary.open("wb") as file:
        for chunk in itertools.chain([first], iter(lambda: stream.read(CHUNK), b"")):
            if shutil.disk_usage(target.parent).free < SPARED:
                raise GiftError(
                    f"{path}: does not fit unpacked on the disk of {target.parent}; free some space there, or name a "
                    "directory on a larger disk by XDG_CACHE_HOME"
                )
            with os_errors_as_gift_error(target):
                file.write(chunk)
    return target


def _list_members(label: str, members: Iterable[tuple[str, Entry, bool]]) -> dict[str, Entry]:
    """Visible members by name. Raises: GiftError about the first (name, entry, is a plain file) that is not safe."""
    entries: dict[str, Entry] = {}
    for count, (name, entry, plain) in enumerate(members, start=1):
        clean, problem = str(PurePosixPath(name)), _problem(name, plain)
        if clean in entries:
            problem = "is in it twice"
        if count > MOST_MEMBERS:
            problem = f"is one of more than {MOST_MEMBERS:,} members"
        if problem:
            raise GiftError(f"{label}: {name!r} {problem}; make the archive again from the folders alone")
        if visible(clean):
            entries[clean] = entry
    return entries


def _problem(name: str, plain: bool) -> str | None:
    if not plain:
        return "is a link or a device"
    windows = PureWindowsPath(name)  # takes both kinds of separator
    outside = name.startswith(("/", "\\")) or windows.drive or ".." in windows.parts
    return "would lie outside the archive's folder" if outside else None


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


def _open_tar(path: Path, label: str, plain: Path) -> Source:
    """A plain tar. Args: path, what the user named; label, of messages; plain, where it lies."""
    with tarfile.open(plain, "r:") as archive:
        members = _list_members(label, ((entry.name, entry, entry.isreg()) for entry in archive if not entry.isdir()))
        # The library takes a damaged or missing header for the end, which is a block of zeros.
        assert archive.fileobj is not None
        archive.fileobj.seek(archive.offset)
        if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise GiftError(f"{label}: is damaged, or ends early; download it again")
    if sparse := next((name for name, entry in members.items() if entry.issparse()), None):
        raise GiftError(f"{label}: {sparse!r} is stored with holes; make the archive again without them")
    places = {name: (entry.offset_data, entry.size) for name, entry in members.items()}
    sizes = {name: size for name, (_, size) in places.items()}
    return Source(path, label, sizes, lambda name: io.BufferedReader(_Part(plain, *places[name])), lambda _: None)


class _Zip:
    """A zip that opens itself when it is first read, in each process anew."""

    def __init__(self, label: str, path: Path) -> None:
        self.label, self.path = label, path

    @functools.cached_property
    def archive(self) -> zipfile.ZipFile:
        file = self.path.open("rb")
        weakref.finalize(self, file.close)
        return zipfile.ZipFile(file)

    @functools.cached_property
    def members(self) -> dict[str, zipfile.ZipInfo]:
        """Visible members by name, in the order in which they lie."""
        in_order = sorted(self.archive.infolist(), key=lambda entry: entry.header_offset)
        if damaged := next((entry for entry in in_order if _LISTED in entry.comment), None):
            # A damaged length has swallowed the members that follow.
            name = damaged.filename
            raise GiftError(f"{self.label}: its list of members is damaged at {name!r}; download it again")
        # Some Windows programs write backslashes.
        named = ((entry.filename.replace("\\", "/"), entry) for entry in in_order)
        files = ((name, entry) for name, entry in named if not name.endswith("/"))
        return _list_members(
            self.label, ((name, entry, not stat.S_ISLNK(entry.external_attr >> 16)) for name, entry in files)
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"label": self.label, "path": self.path}

    def open(self, name: str) -> IO[bytes]:
        return self.archive.open(self.members[name])


def _open_zip(path: Path, label: str, plain: Path) -> Source:
    """A zip. Args: as of `_open_tar`."""
    zipped = _Zip(label, plain)
    images = {id(entry) for name, entry in zipped.members.items() if name.lower().endswith(SUFFIXES)}
    for entry in zipped.archive.infolist():
        if id(entry) not in images:  # no reader opens it: this finds one that has two names, of which one is an image's
            zipped.archive.open(entry).close()
    sizes = {name: entry.file_size for name, entry in zipped.members.items()}
    return Source(path, label, sizes, zipped.open, lambda _: None)
