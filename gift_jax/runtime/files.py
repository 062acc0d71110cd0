"""Writing so that a file or directory is there whole or not at all, and reading what was written."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import safetensors

from gift_jax.errors import GiftError, short_reason


@contextlib.contextmanager
def atomic_write(target: Path, *, keep: Callable[[Path, Path], bool] | None = None) -> Iterator[Path]:
    """Give a temporary path beside target to write a file or directory at; rename it to target on success.

    On an error the temporary path is removed and target stays as it was. An older target is replaced, unless keep, such
    as `same_content`, says of it and the new one that it stays.
    """
    target = Path(target).absolute()  # "." has no name
    with os_errors_as_gift_error(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        workspace = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    temporary = workspace / target.name
    try:
        yield temporary
        if temporary.is_file():  # safetensors lets nobody else read what it writes; others may, as the umask says
            (workspace / "ordinary").touch()
            temporary.chmod((workspace / "ordinary").stat().st_mode)
        if keep and target.exists() and keep(target, temporary):
            return
        with os_errors_as_gift_error(target):
            if target.is_dir():
                target.rename(workspace / "replaced")
            temporary.replace(target)
    except GiftError as error:  # the temporary path is gone
        raise type(error)(str(error).replace(str(temporary), str(target))) from None
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def refuse_to_replace(path: Path) -> NoReturn:
    """Raises: GiftError that says how to keep what is there."""
    raise GiftError(f"{path}: holds something else, and is not replaced; choose another --out, or remove it")


@contextlib.contextmanager
def locked(target: Path, busy: str, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes from making target, by a lock beside it that ends with the process and is removed.

    Args: busy, what is said if another process makes it; wait, until that has ended. Raises: GiftError otherwise.
    """
    place = target.absolute()  # "." has no name
    lock = place.with_name(f".{place.name}.lock")
    descriptor = _hold(lock, f"{target}: {busy}", wait=wait)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _hold(path: Path, busy: str, *, wait: bool) -> int:
    with os_errors_as_gift_error(path):
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except FileNotFoundError:  # another process has just removed the directory
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    os.close(descriptor)
                    raise GiftError(f"{busy}; wait for it, or stop it") from None
                print(f"{busy}; waiting for it", file=sys.stderr, flush=True)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
            os.close(descriptor)  # of a file that was removed before it was locked


def make_directory(directory: Path) -> None:
    """Make a directory for results, unless it is there. Raises: GiftError if nothing can be written into it."""
    with os_errors_as_gift_error(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass


def remove_unfinished(directory: Path) -> None:
    """Remove what `atomic_write` left there in processes that were killed; the caller sees to it that none writes."""
    for workspace in directory.glob(".*.*"):
        shutil.rmtree(workspace, ignore_errors=True)


_MENDS: Mapping[int | None, str] = {
    errno.ENOENT: "check the path",
    errno.EACCES: "check its permissions",
    errno.ENOSPC: "free some space",
}


@contextlib.contextmanager
def os_errors_as_gift_error(path: Path, *foreign: type[Exception]) -> Iterator[None]:
    """Turn an operating system's refusal about path into a GiftError that names it.

    Args: foreign, what a library raises of its own where the system refuses it.
    """
    try:
        yield
    except GiftError:
        raise
    except (OSError, safetensors.SafetensorError, *foreign) as error:
        if isinstance(error, FileNotFoundError):
            check_links(Path(error.filename or path))
        reason = getattr(error, "strerror", None) or short_reason(error)
        mend = _MENDS.get(getattr(error, "errno", None), "check the path, its permissions and the free space")
        raise GiftError(f"{path}: {reason}; {mend}") from None


def check_links(path: Path) -> None:
    """Raises: GiftError that names the link, if a path, or a folder above it, is one to what is not there."""
    for link in (path, *path.parents):
        if link.is_symlink() and not link.exists():
            raise GiftError(f"{link}: is a link to {os.readlink(link)}, which is not there; remove the link or mend it")


def cache_directory(kind: str) -> Path:
    """Where what can be made again is kept: `$XDG_CACHE_HOME/gift_jax/KIND`, by default under `~/.cache`."""
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        home = Path(tempfile.gettempdir())
    return home / "gift_jax" / kind


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 digest of a file."""
    with os_errors_as_gift_error(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_below(directory: Path) -> list[Path]:
    """All files below a directory, sorted. Raises: GiftError about a folder that cannot be read."""
    with os_errors_as_gift_error(directory):
        found = [Path(folder) / name for folder, _, names in os.walk(directory, onerror=_raise) for name in names]
        return sorted(path for path in found if path.is_file())


def _raise(error: OSError) -> None:
    raise error


def file_state(path: Path) -> tuple[int, int, int]:
    """What tells a file from one that replaced it, without reading it: its size, and times of writing and of change.

    When a file was last written to is copied with it; when that was set is not.
    """
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns


def sha256_tree(directory: Path) -> str:
    """Digest of a directory: of the names and digests of all files in it."""
    files = ((path.relative_to(directory).as_posix(), path) for path in files_below(directory))
    listing = "".join(f"{name} {sha256(path)}\n" for name, path in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def same_content(target: Path, new: Path) -> bool:
    """True; of two files or directories of other content, raises: GiftError."""
    digests = [sha256_tree(path) if path.is_dir() else sha256(path) for path in (target, new)]
    return digests[0] == digests[1] or refuse_to_replace(target)


def write_text(path: Path, text: str, *, keep: Callable[[Path, Path], bool] | None = None) -> None:
    """Write a text file, whole or not at all. Args: keep, as of `atomic_write`."""
    with atomic_write(path, keep=keep) as temporary, os_errors_as_gift_error(path):
        temporary.write_text(text, encoding="utf-8")


def append_json_line(path: Path, row: dict[str, Any]) -> None:
    """Append one JSON object as one line, in a single write, so that a reader never sees half a line."""
    line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
    with os_errors_as_gift_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(descriptor, content := line.encode())
            if written < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises: GiftError if the file is missing, is not JSON, or holds something else."""
    try:
        with os_errors_as_gift_error(path):
            value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise GiftError(f"{path}: not a JSON file; write it again with the command that made it") from None
    if not isinstance(value, dict):
        raise GiftError(f"{path}: holds a JSON {type(value).__name__}, not an object; write it again") from None
    return value
