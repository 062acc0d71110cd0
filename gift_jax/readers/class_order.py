"""Class-order files: which folder is which class, where the folders' sorted order is not the classes'."""

from collections.abc import Sequence
from pathlib import Path

from gift_jax.errors import GiftError
from gift_jax.readers.source import HEAD, refuse_stand_in
from gift_jax.runtime.files import os_errors_as_gift_error, write_text


def read_class_order(path: Path, num_classes: int | None) -> tuple[str, ...]:
    """Read folder names, one a line: line i is class i; empty lines and lines that begin with `#` do not count.

    Args: num_classes, how many there must be; None takes any number. Raises: GiftError unless they all differ.
    """
    names = tuple(line for line in read_lines(path) if not line.startswith("#"))
    if num_classes is not None and len(names) != num_classes:
        raise GiftError(f"{path}: names {len(names)} classes, expected {num_classes}; write one folder name a line")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise GiftError(f"{path}: names {twice!r} twice; write each folder once")
    return names


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty. Raises: GiftError if it is none, or has none."""
    with os_errors_as_gift_error(path):
        content = path.read_bytes()
    lines = [line for line in map(str.strip, read_text(str(path), content).splitlines()) if line]
    if not lines:
        raise GiftError(f"{path}: is empty; write one name a line")
    return lines


def read_text(label: str, content: bytes) -> str:
    """A file's text, without the byte-order mark that some editors write. Raises: GiftError if it is none."""
    refuse_stand_in(label, content[:HEAD])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise GiftError(f"{label}: not a text file in UTF-8; write one name a line") from None


def write_class_order(path: Path, names: Sequence[str]) -> None:
    """Write a class-order file, whole or not at all. Args: names of class folders, by class id."""
    write_text(path, "# The class folder of each class id, from 0.\n" + "".join(f"{name}\n" for name in names))
