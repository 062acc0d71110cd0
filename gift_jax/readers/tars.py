"""Tar archives, uncompressed, as sources: any member is read in place, by many threads at once."""

import io
import tarfile
from pathlib import Path
from typing import Any

from gift_jax.errors import GiftError
from gift_jax.readers.members import list_members
from gift_jax.readers.source import Source


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


def tar_source(path: Path, label: str, plain: Path) -> Source:
    """A plain tar. Args: path, what the user named; label, of messages; plain, where it lies. Raises: GiftError."""
    with tarfile.open(plain, "r:") as archive:
        members = list_members(label, ((entry.name, entry, entry.isreg()) for entry in archive if not entry.isdir()))
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
