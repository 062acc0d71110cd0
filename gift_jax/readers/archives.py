"""Zip and tar archives, read in place: no member is ever written to disk."""

import contextlib
import stat
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TypeVar

from gift_jax.errors import GiftError
from gift_jax.readers.source import Source, head_of, readable, refuse_stand_in, visible

MOST_MEMBERS = 5_000_000  # ImageNet-1K has 1.3 million; a compressed list of members could otherwise fill the memory
_LISTED = b"PK\x01\x02"  # how each entry begins in the list of members at a zip's end

Entry = TypeVar("Entry", zipfile.ZipInfo, tarfile.TarInfo)


def open_archive(path: Path, label: str, file: IO[bytes], stack: contextlib.ExitStack) -> Source | None:
    """The files of a zip or tar archive (compressed or not), or None if it is neither. The stack closes it.

    Raises: GiftError if it is damaged, or if a member is a link, lies outside the archive or comes twice.
    """
    with readable(label):
        if _is_zip(file):
            return _zip_source(path, label, stack.enter_context(zipfile.ZipFile(file)))
        file.seek(0)
        try:
            archive = tarfile.open(fileobj=file, mode="r:*")  # noqa: SIM115 (the stack closes it)
        except tarfile.ReadError:
            return _no_archive(label, file)
        return _tar_source(path, label, stack.enter_context(archive))


def _is_zip(file: IO[bytes]) -> bool:
    """A zip is known by its end, which a tar of PyTorch's files has too."""
    found = zipfile.is_zipfile(file)
    file.seek(0)
    return found and not tarfile.is_tarfile(file)


def _no_archive(label: str, file: IO[bytes]) -> None:
    file.seek(0)
    if file.read(2) in (b"PK", b"\x1f\x8b"):
        raise GiftError(f"{label}: begins as a zip or gzip archive, but is no whole one; download it again")


def open_inner(source: Source, name: str, stack: contextlib.ExitStack) -> Source | None:
    """The files of an archive in a source, read through it; None if it is none."""
    label = f"{source.label}: {name!r}"
    with readable(label):
        stream = stack.enter_context(source.open(name))
        refuse_stand_in(label, head_of(stream))
    return open_archive(source.path, label, stream, stack)


def _zip_source(path: Path, label: str, archive: zipfile.ZipFile) -> Source:
    entries = zip_members(label, archive)
    sizes = {name: entry.file_size for name, entry in entries.items()}
    return Source(path, label, sizes, lambda name: archive.open(entries[name]), lambda _: None)


def zip_members(label: str, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Visible members by name, in the order in which they lie. Raises: GiftError about one that is not safe."""
    in_order = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    for entry in in_order:
        if _LISTED in entry.comment:  # a damaged length has swallowed the members that follow
            raise GiftError(f"{label}: its list of members is damaged at {entry.filename!r}; download it again")
    return _listed(
        label,
        (
            (entry.filename.replace("\\", "/"), entry, not stat.S_ISLNK(entry.external_attr >> 16))
            for entry in in_order
            if not entry.filename.endswith(("/", "\\"))  # folders; some that make zips on Windows write backslashes
        ),
    )


def _tar_source(path: Path, label: str, archive: tarfile.TarFile) -> Source:
    entries = tar_members(label, archive)

    def opened(name: str) -> IO[bytes]:
        stream = archive.extractfile(entries[name])
        assert stream is not None  # only plain files are listed
        return stream

    return Source(path, label, {name: entry.size for name, entry in entries.items()}, opened, lambda _: None)


def tar_members(label: str, archive: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Visible members by name, in the order in which they lie. Raises: GiftError about one that is not safe."""
    entries = _listed(label, ((entry.name, entry, entry.isreg()) for entry in archive if not entry.isdir()))
    _check_end(label, archive)
    return entries


def _check_end(label: str, archive: tarfile.TarFile) -> None:
    """The library takes a damaged or missing header for the end, which is a block of zeros."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise GiftError(f"{label}: is damaged, or ends early; download it again")


def _listed(label: str, members: Iterable[tuple[str, Entry, bool]]) -> dict[str, Entry]:
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
