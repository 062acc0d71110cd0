"""Where the files of soft labels are: a directory, or an archive that is read in place."""

from pathlib import Path

from gift_jax.errors import GiftError
from gift_jax.readers.archives import open_archive
from gift_jax.readers.source import Source, directory
from gift_jax.runtime.files import os_errors_as_gift_error


def size_on_disk(path: Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    if not path.exists():
        raise GiftError(f"{path}: no such file or directory; check the path")
    with os_errors_as_gift_error(path):
        files = (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)


def open_files(path: Path) -> Source:
    """The files of a directory, zip or tar. Raises: GiftError."""
    if path.is_dir():
        return directory(path)
    files = open_archive(path)
    if files is None:
        raise GiftError(
            f"{path}: neither a directory nor a zip or tar archive; give the released archive or its folder"
        )
    return files
