"""Files of images, wherever they lie: in a directory, in an archive, or one file alone."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.runtime.files import check_links, os_errors_as_gift_error, sha256

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".npz")
HEAD = 64  # bytes that tell a file's kind


class Source(NamedTuple):
    """Files to read from.

    path: what the user named. label: how messages name it (an archive inside path is named too). sizes: for each
    file, by its POSIX name below path, the bytes that it declares, in the order in which reading is cheapest.
    open: a file's stream by its name. on_disk: a file's own path by its name, None inside an archive. empty: folders
    without any file, of a directory.
    """

    path: Path
    label: str
    sizes: Mapping[str, int]
    open: Callable[[str], IO[bytes]]
    on_disk: Callable[[str], Path | None]
    empty: tuple[str, ...] = ()

    def read(self, name: str, limit: int) -> bytes:
        """A file's bytes. Raises: GiftError if it declares more than limit bytes (none are read) or is damaged."""
        label, size = f"{self.label}: {name!r}", self.sizes[name]
        if size > limit:
            declared = f"{size:,} bytes, and more than {limit:,} are not read"
            raise GiftError(f"{label} declares {declared}; check that this is the released file")
        with readable(label), self.open(name) as stream:
            content = stream.read(size)
            if len(content) < size:
                raise EOFError("it ends early")
        refuse_stand_in(label, content[:HEAD])
        return content

    def title(self, name: str) -> str:
        """How messages name a file: by its path, or by the archive and its name in it."""
        path = self.on_disk(name)
        return str(path) if path else f"{self.label}: {name!r}"

    def find(self, base: str) -> str:
        """The one file of that base name. Raises: GiftError if there is none, or more than one."""
        found = [name for name in self.sizes if PurePosixPath(name).name == base]
        if len(found) != 1:
            reason = f"lies there {len(found)} times ({found[0]!r}, {found[1]!r})" if found else "is not there"
            raise GiftError(f"{self.label}: {base} {reason}; give the directory or archive of one set")
        return found[0]

    def alone(self, name: str, known_as: str) -> "Source":
        """One of the files as a source, under the name that layouts know it by."""
        label, sizes = f"{self.label}: {name!r}", {known_as: self.sizes[name]}
        return Source(self.path, label, sizes, lambda _: self.open(name), lambda _: self.on_disk(name))

    def digest(self) -> str:
        """SHA-256 of the file that the user named, or of the names and digests of all files of a directory."""
        if not self.path.is_dir():
            return sha256(self.path)
        lines = (f"{name} {sha256(self.path / name)}\n" for name in sorted(self.sizes))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def openable(source: Source, further: tuple[str, ...] = ()) -> list[str]:
    """The files that may be a set by themselves, by their suffixes: archives, and further ones."""
    return [name for name in source.sizes if name.lower().endswith((*ARCHIVES, *further))]


def head_of(stream: IO[bytes]) -> bytes:
    """A file's first bytes, which tell its kind; the stream stands at its beginning again."""
    head = stream.read(HEAD)
    stream.seek(0)  # a second stream would be unpacked from the archive's beginning
    return head


def refuse_stand_in(label: str, head: bytes) -> None:
    """Raises: GiftError if a file that begins with head is a git-lfs pointer or a web page."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        raise GiftError(f"{label} is a git-lfs pointer, not the file itself; fetch it with `git lfs pull`")
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise GiftError(f"{label} is a web page that was saved in place of the file; download the file, not its page")


def readable(label: str) -> contextlib.AbstractContextManager[None]:
    """Turn whatever is raised about a damaged file into a GiftError that names it."""
    return damage_as_gift_error(f"{label} cannot be read", "download it again")


def visible(name: str) -> bool:
    """Whether a file is part of a set: not hidden, and not what macOS adds to archives."""
    return not any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def check_file(path: Path) -> int:
    """The bytes of a file, which links may lead to. Raises: GiftError if it is missing, or no file at all."""
    if not path.exists():
        check_links(path)
        raise GiftError(f"{path}: no such file or directory; check the path")
    with os_errors_as_gift_error(path):
        state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise GiftError(f"{path}: is a pipe, a socket or a device, not a file; remove it, or give another path")
    return state.st_size


def single_file(path: Path, name: str) -> Source:
    """One file as a source; name is what layouts know it by."""
    return Source(path, str(path), {name: path.stat().st_size}, lambda _: path.open("rb"), lambda _: path)


def directory(path: Path) -> Source:
    """All files below a directory. Links are followed, because the tree is the user's own."""
    with os_errors_as_gift_error(path):
        found = [name for name in _walk(path) if visible(name)]
    sizes = {name: check_file(path / name) for name in found if not name.endswith("/")}
    empty = tuple(name.removesuffix("/") for name in found if name.endswith("/"))
    return Source(path, str(path), sizes, lambda name: (path / name).open("rb"), lambda name: path / name, empty)


def _walk(root: Path) -> Iterator[str]:
    """Files below root, and with a slash at the end the folders that hold nothing."""
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_raise):
        path = Path(folder)
        above = {os.path.realpath(parent) for parent in (path, *path.parents) if parent.is_relative_to(root)}
        # Not those that are links to a folder above, whose files would have no end; hidden ones are not part of a set.
        subfolders[:] = sorted(
            name for name in subfolders if visible(name) and os.path.realpath(path / name) not in above
        )
        if not subfolders and not any(map(visible, files)) and path != root:
            yield f"{path.relative_to(root).as_posix()}/"
        yield from ((path / file).relative_to(root).as_posix() for file in sorted(files))


def _raise(error: OSError) -> None:
    raise error
