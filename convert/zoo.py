"""`python -m convert zoo`: every published teacher that is there becomes a teacher directory."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import rich
from rich.table import Column, Table

from gift_jax.errors import GiftError
from gift_jax.runtime.files import files_below, sha256
from gift_jax.runtime.progress import display
from gift_jax.teachers.published import ZOO, Published
from gift_jax.teachers.teacher import TeacherInfo, load_teacher

from .request import TeacherRequest
from .teacher import convert_teacher

SUFFIXES = (".pth", ".pt", ".th", ".tar", ".safetensors")


class Outcome(NamedTuple):
    """What became of a published teacher: its files, a status, and the converted one's information."""

    teacher: Published
    status: str
    note: str
    info: TeacherInfo | None = None


def find_files(directory: Path) -> dict[str, list[Path]]:
    """Files below a directory with a published teacher's name, by that teacher's name; sorted paths."""
    if not directory.is_dir():
        raise GiftError(f"{directory}: no such directory; give the one that the published teachers were saved in")
    files = [path for path in files_below(directory) if path.suffix in SUFFIXES]
    names = {stem: name for name, teacher in ZOO.items() for stem in (teacher.file_name, name)}
    found: dict[str, list[Path]] = {}
    for path in files:
        # Browsers and Google Drive write `name (1).pth` and `name.pth.tar`.
        stem = path.name.lower().split(".")[0].split(" ")[0]
        if stem in names:
            found.setdefault(names[stem], []).append(path)
    return found


def convert_zoo(source: Path, out: Path) -> None:
    """Convert every published teacher below source into `out/dataset_model`, skip what is done, print a table."""
    files = find_files(source)
    if not files:
        names = ", ".join(f"{teacher.file_name}.pth" for teacher in ZOO.values())
        raise GiftError(
            f"{source}: holds none of the published teachers ({names}); they are on {ZOO['cifar10_conv3'].where}"
        )
    outcomes, missing = [], dict[str, list[str]]()
    with display("teachers", len(ZOO), "teachers") as advance:
        for name, teacher in ZOO.items():
            if name in files:
                outcomes.append(convert_one(teacher, files[name], out / name))
            else:
                outcomes.append(Outcome(teacher, "missing", ""))
                missing.setdefault(teacher.where, []).append(f"{teacher.file_name}.pth")
            advance(1, name)
    rich.print(_table(outcomes))
    for where, names in missing.items():
        print(f"missing   {', '.join(names)}: {where}")
    failed = [outcome.teacher.name for outcome in outcomes if outcome.status == "failed"]
    if failed:
        raise GiftError(f"{source}: {len(failed)} could not be converted ({', '.join(failed)}); the table says why")


def convert_one(teacher: Published, files: Sequence[Path], out: Path) -> Outcome:
    """Convert one teacher, unless it is there already from the same file."""
    try:
        if len(files) > 1:
            raise GiftError(f"found {' and '.join(map(str, files))}; keep one")
        [path] = files
        with contextlib.suppress(GiftError):  # one that is damaged is made again
            if (info := load_teacher(out).info).source_sha256 == sha256(path):
                return Outcome(teacher, "there", "converted before from the same file", info)
        with contextlib.redirect_stdout(io.StringIO()):  # the table says it
            info = convert_teacher(TeacherRequest(path, out, teacher.dataset, teacher.model))
    except GiftError as error:
        return Outcome(teacher, "failed", str(error))
    return Outcome(teacher, "converted", str(out), info)


def _table(outcomes: Sequence[Outcome]) -> Table:
    title = "Published teachers; logit difference to PyTorch, relative to the largest logit"
    headings = ("teacher", "published top-1, %", "pixels", "status", "logit difference", "note")
    table = Table(*(Column(name, overflow="fold") for name in headings), title=title, title_justify="left")
    for teacher, status, note, info in outcomes:
        difference = f"{info.verification.max_relative:.1e}" if info and info.verification else ""
        table.add_row(teacher.name, f"{teacher.top1:.2f}", str(teacher.image_size), status, difference, note)
    return table
