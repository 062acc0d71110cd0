"""Members of archives: which are shown, and which names are refused. None is ever written to disk by its own name."""

import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath
from typing import TypeVar

from gift_jax.errors import GiftError
from gift_jax.readers.source import visible

MOST_MEMBERS = 5_000_000  # ImageNet-1K has 1.3 million; a compressed list of members could otherwise fill the memory

Entry = TypeVar("Entry", zipfile.ZipInfo, tarfile.TarInfo)


def list_members(label: str, members: Iterable[tuple[str, Entry, bool]]) -> dict[str, Entry]:
    """Visible members by name. Raises: GiftError about the first (name, entry, is a plain file) that is not safe."""
    entries: dict[str, Entry] = {}
    for count, (name, entry, plain) in enumerate(members, start=1):
        problem = _problem(name, plain)
        clean = str(PurePosixPath(name))
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
    if name.startswith(("/", "\\")) or windows.drive or ".." in windows.parts:
        return "would lie outside the archive's folder"
    return None
