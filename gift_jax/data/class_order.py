"""Class-order files: which folder is which class, where the folders' sorted order is not the classes'."""

from collections.abc import Sequence
from pathlib import Path

from gift_jax.errors import GiftError
from gift_jax.runtime.files import reported, write_text


def read_class_order(path: Path, num_classes: int | None) -> tuple[str, ...]:
    """Read folder names, one a line: line i is class i; empty lines and lines that begin with `#` do not count.

    Args: num_classes, how many there must be; None takes any number. Raises: GiftError unless they all differ.
    """
    try:
        with reported(path):
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError:
        raise GiftError(f"{path}: not a text file; write one folder name a line") from None
    names = tuple(line for line in lines if line and not line.startswith("#"))
    if num_classes is not None and len(names) != num_classes:
        raise GiftError(f"{path}: names {len(names)} classes, expected {num_classes}; write one folder name a line")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise GiftError(f"{path}: names {twice!r} twice; write each folder once")
    return names


def write_class_order(path: Path, names: Sequence[str]) -> None:
    """Write a class-order file, whole or not at all. Args: names of class folders, by class id."""
    write_text(path, "# The class folder of each class id, from 0.\n" + "".join(f"{name}\n" for name in names))
