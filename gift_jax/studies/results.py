"""Results of runs: one JSON line a finished run, with everything needed to repeat it."""

import json
import math
import os
import re
import sys
from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import Any

from gift_jax.errors import GiftError
from gift_jax.readers.image_files import SUFFIXES
from gift_jax.readers.splits_and_pairs import SPLITS, listed
from gift_jax.runtime.files import os_errors_as_gift_error

# What fields of a row are, if it has them: objects hold at least these, lists hold these, and one at least.
_FIELDS: dict[str, Any] = {
    **dict.fromkeys(("experiment", "cell", "failed", "reason", "setting", "device"), str),
    **dict.fromkeys(("method", "dataset", "model", "loss", "optimizer"), str),
    **dict.fromkeys(("teacher", "teacher_sha256"), str | None),
    **dict.fromkeys(("seed", "ipc", "epochs", "num_images", "label_bytes"), int),
    **dict.fromkeys(("top1_last", "top1_best", "top5_last", "validation_top1", "gradient_norm"), Real),
    **dict.fromkeys(("train_seconds", "seconds", "images_per_second"), Real),
    "teacher_top1": Real | None,
    "history": [{"epoch": int, "top1": Real}],
    "losses": [[Real]],
    "by_class": [[int]],
    "recipe": {"epochs": int, "batch_size": int | None, "max_steps": int | None, "loss_options": list},
    "student": {"num_classes": int},
    **dict.fromkeys(("labels", "distilled", "digests", "versions", "configuration", "record"), dict),
    "soft_labels": dict | None,
}
_OF_A_CELL = ("experiment", "cell", "labels", "seed")
_OF_A_RUN = (
    *("method", "dataset", "model", "loss", "optimizer", "ipc", "seed", "epochs", "recipe", "student", "distilled"),
    *("top1_last", "top1_best", "top5_last", "train_seconds", "history", "versions", "device"),
)  # of a student that was trained and tested, by itself or as a cell


_DATA = {"teacher.json": "a teacher", "fkd.json": "stored labels", "dataset.json": "a dataset"}


def check_directory(directory: Path) -> None:
    """Raises: GiftError if a directory of results or of a report is one of data, which they would become part of."""
    with os_errors_as_gift_error(directory):
        names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
        found = [f"holds {what}" for name, what in _DATA.items() if name in names]
        # Beside its results and its teacher an experiment writes sets and sheets of images.
        written = any(re.fullmatch(r"results.*\.jsonl|report\.md", name) for name in names)
        if not written and not (directory / "teacher" / "teacher.json").is_file():
            found += [f"holds {name}" for name in names if name.lower().endswith((".safetensors", *SUFFIXES))]
            roots = (directory, *(directory / name for name in names if name.lower() in SPLITS))
            found += [f"holds {classes}" for root in roots if (classes := _class_folders(root))]
        above = (root for root in directory.absolute().parents if root.name.lower() in SPLITS)
        found += [f"lies among {classes}" for root in above if (classes := _class_folders(root))]
    if found:
        raise GiftError(f"{directory}: {found[0]}; give another --out")


def _class_folders(root: Path) -> str:
    """What class folders there are, two or more, in words."""
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    names = [path.name for path in folders if any(file.name.lower().endswith(SUFFIXES) for file in path.iterdir())]
    return f"class folders of images ({listed(names, 2)})" if len(names) > 1 else ""


def check_place(path: Path) -> None:
    """Before anything is trained. Raises: GiftError if no row can be added to a file, or data are beside it."""
    check_directory(path.parent)
    if path.exists():
        with os_errors_as_gift_error(path), path.open("ab"):
            pass


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read a `results.jsonl`; a last line that a stopped writer cut short is passed over with a warning.

    Raises: GiftError that names a line that is no one result, or whose fields are not those of one.
    """
    rows: list[dict[str, Any]] = []
    held: dict[str, Any] = {}
    with os_errors_as_gift_error(path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            row, flaw = _parse(line), ""
            if row is not None:
                flaw = next(_flaws_of_row(row), "")
            elif _is_cut(line):
                print(f"warning: {path}: line {number} was cut short and is passed over", file=sys.stderr)
            elif line.strip():
                flaw = f"{line[:60].decode(errors='replace')!r} is no JSON object, or more than one"
            if flaw:
                raise GiftError(
                    f"{path}: line {number} is no result: {flaw}; mend it, or put it into another file, and run again"
                )
            if row is not None:
                # Settings are most of what rows hold: equal ones are one object, into which nobody writes.
                settings = {name: value for name, value in row.items() if isinstance(value, dict)}
                rows.append(row | {name: held.setdefault(json.dumps(one), one) for name, one in settings.items()})
    return rows


def _flaws_of_row(row: dict[str, Any]) -> Iterator[str]:
    failed = {"failed", "reason"} & row.keys()
    trained = not failed and ({"recipe", "history"} & row.keys() or "experiment" not in row)
    needed = (
        *(_OF_A_CELL if failed or "experiment" in row else ()),
        *(("failed", "reason") if failed else ()),
        *(_OF_A_RUN if trained else ()),
    )
    yield from (f"it has no {name!r}" for name in needed if name not in row)
    yield from (flaw for name, kind in _FIELDS.items() if name in row for flaw in _flaws(row[name], kind, name))
    yield from (flaw for name, text in row.get("labels", {}).items() for flaw in _flaws(text, str, f"labels.{name}"))


def _flaws(value: Any, kind: Any, name: str) -> Iterator[str]:
    """What a value has that its kind, as in `_FIELDS`, has not."""
    if not _is(value, type(kind) if isinstance(kind, dict | list) else kind) or (value == [] and kind is not list):
        yield f"{name!r} cannot be {json.dumps(value)[:60]}"
    elif isinstance(kind, dict):
        yield from (f"{name!r} has no {key!r}" for key in kind if key not in value)
        yield from (flaw for key in kind if key in value for flaw in _flaws(value[key], kind[key], f"{name}.{key}"))
    elif isinstance(kind, list):
        yield from (flaw for item in value for flaw in _flaws(item, kind[0], name))


def _is(value: Any, kind: Any) -> bool:
    """`isinstance`, but for true and false, which are no numbers here, and for what is not finite."""
    odd = isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value))
    return isinstance(value, kind) and not odd


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _is_cut(line: bytes) -> bool:
    """Whether a last line is the beginning of a row, and not a row with something after it, nor anything else."""
    if line.endswith(b"\n"):
        return False
    text = line.decode(errors="replace")
    try:
        json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        # A number, a word or an escape that is cut short fails at its own beginning, a string likewise.
        at_end = error.pos > len(text) - len("\\u0000") or error.msg.startswith("Unterminated")
        return line.startswith(b"{") and at_end
    except RecursionError:
        pass
    return False


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
        elif _is_cut(content[start:]):
            os.truncate(path, start)
