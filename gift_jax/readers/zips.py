"""Zip archives as sources."""

import functools
import stat
import weakref
import zipfile
from pathlib import Path
from typing import IO, Any

from gift_jax.errors import GiftError
from gift_jax.readers.image_files import SUFFIXES
from gift_jax.readers.members import list_members
from gift_jax.readers.source import Source

_LISTED = b"PK\x01\x02"  # how each entry begins in the list of members at a zip's end


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
        for entry in in_order:
            if _LISTED in entry.comment:  # a damaged length has swallowed the members that follow
                raise GiftError(
                    f"{self.label}: its list of members is damaged at {entry.filename!r}; download it again"
                )
        return list_members(
            self.label,
            (
                (entry.filename.replace("\\", "/"), entry, not stat.S_ISLNK(entry.external_attr >> 16))
                for entry in in_order
                if not entry.filename.endswith(("/", "\\"))  # folders; some Windows programs write backslashes
            ),
        )

    def check_skipped(self) -> None:
        """Raises: BadZipFile if a member that no reader opens has two names, one of which an image may have."""
        read = {id(entry) for name, entry in self.members.items() if name.lower().endswith(SUFFIXES)}
        for entry in self.archive.infolist():
            if id(entry) not in read:
                self.archive.open(entry).close()

    def __getstate__(self) -> dict[str, Any]:
        return {"label": self.label, "path": self.path}

    def open(self, name: str) -> IO[bytes]:
        return self.archive.open(self.members[name])


def zip_source(path: Path, label: str, plain: Path) -> Source:
    """A zip. Args: path, what the user named; label, of messages; plain, where it lies. Raises: GiftError."""
    archive = _Zip(label, plain)
    archive.check_skipped()
    sizes = {name: entry.file_size for name, entry in archive.members.items()}
    return Source(path, label, sizes, archive.open, lambda _: None)
