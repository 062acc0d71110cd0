"""Results of runs: one JSON line a finished run, with everything needed to repeat it."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from gift_jax.errors import GiftError
from gift_jax.runtime.files import os_errors_as_gift_error


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read a `results.jsonl`.

    A last line that was cut short, by a writer that was stopped, is passed over with a warning. Raises: GiftError that
    names a line that is no result.
    """
    with os_errors_as_gift_error(path):
        *lines, last = path.read_bytes().split(b"\n")
    rows = [_parse(line) for line in (*lines, last)]
    for number, (line, row) in enumerate(zip(lines, rows, strict=False), 1):
        if row is None and line.strip():
            raise GiftError(
                f"{path}: line {number} is no result: {line[:60].decode(errors='replace')!r} is no JSON object; mend "
                "it, or put it into another file, and run again"
            )
    if last.strip() and rows[-1] is None:
        print(f"warning: {path}: line {len(rows)} was cut short and is passed over", file=sys.stderr)
    return [row for row in rows if row is not None]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def end_last_line(path: Path) -> None:
    """End a last line without a newline, so that the next one starts afresh; cut it off if it is not whole."""
    if not path.is_file():
        return
    with os_errors_as_gift_error(path):
        content = path.read_bytes()
        start = content.rfind(b"\n") + 1
        if _parse(content[start:]) is not None:
            with path.open("ab") as file:
                file.write(b"\n")
        elif content[start:]:
            os.truncate(path, start)
