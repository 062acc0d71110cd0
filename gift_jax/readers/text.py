"""Text that people write: files of one name a line, in any editor and on any system."""

import unicodedata
from pathlib import Path

from gift_jax.errors import GiftError
from gift_jax.readers.source import HEAD, refuse_stand_in
from gift_jax.runtime.files import os_errors_as_gift_error


def same_text(name: str) -> str:
    """A name in the one of its Unicode spellings that is used here; macOS writes another one into archives."""
    return unicodedata.normalize("NFC", name)


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
