"""What time and memory grow like: with the cells of a study, rows of a report, images of a dataset, classes, epochs.

Command: `python -m benchmarks.growth`; minutes on two cores, no GPU. Each task runs in a process of its own, at three
sizes whose ratio r is the same. If the time is a + b n^p, then (t3 - t2) / (t2 - t1) = r^p, which gives the exponent p
whatever the start-up a is; likewise for memory. 1 is right for all of them: no task needs more than one look at each
cell, row, image or class.
"""

import contextlib
import dataclasses
import io
import json
import math
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmarks.worker import find_processor, in_own_process
from gift_jax.reports.page import Table
from gift_jax.runtime import cli, provenance
from gift_jax.runtime.files import write_text

if TYPE_CHECKING:
    from gift_jax import DistilledSet, Teacher

ROOT = Path(__file__).parents[1]
RESULTS = Path("benchmarks/results/growth.json")


class Task(NamedTuple):
    """What grows: the unit, three sizes in one ratio, what is written beforehand, and what is then measured.

    prepare and run take the size and a directory, in which a command line is run; both run in processes of their own.
    """

    unit: str
    sizes: tuple[int, int, int]
    prepare: Callable[[int, Path], None]
    run: Callable[[int, Path], None] | Sequence[str]


def exponent(sizes: Sequence[int], costs: Sequence[float], noise: float) -> float | None:
    """p of a + b n^p through three points whose sizes have one ratio; None where growth is within noise."""
    first, second = costs[1] - costs[0], costs[2] - costs[1]
    if min(first, second) <= 0 or costs[2] - costs[0] < noise:
        return None
    return math.log(second / first) / math.log(sizes[2] / sizes[1])


def tiny_teacher(dataset: str, classes: int, channels: int) -> "Teacher":
    """A teacher of random weights, of images of 8 pixels."""
    import jax

    from benchmarks.ours import random_info
    from gift_jax.models import ModelSpec, get_model
    from gift_jax.teachers.teacher import make_teacher

    model = get_model(ModelSpec("conv1", classes, 8, channels, (("width", 2),)))
    return make_teacher(random_info(model.spec, dataset), *model.init(jax.random.key(0)))


def digits(ipc: int) -> "DistilledSet":
    """A set of so many digits of each class, some of them many times."""
    from gift_jax import DistilledSet
    from gift_jax.data.digits import load_split

    split = load_split()
    rows = np.concatenate([np.resize(np.flatnonzero(split.train_labels == label), ipc) for label in range(10)])
    return DistilledSet(split.train_images[rows], split.train_labels[rows], None, "raw", "digits", "real", ipc)


def study_cells(count: int) -> list:
    """Cells of a study on a set that is brought to the teacher's normalisation, which once made a copy for each."""
    from gift_jax.data.datasets import Normalisation
    from gift_jax.data.evaluation import load_digits_test
    from gift_jax.models import get_model
    from gift_jax.recipes.recipe import Recipe
    from gift_jax.studies.cells import Cell
    from gift_jax.task import Task as Training

    teacher, raw = tiny_teacher("digits", 10, 1), digits(10)
    model = get_model(teacher.info.spec)
    pixels = (raw.images / np.float32(255) - np.float32(0.5)) / np.float32(0.25)
    normalisation = Normalisation((0.5,), (0.25,))
    distilled = dataclasses.replace(raw, images=pixels, pixel_space="normalised", normalisation=normalisation)
    recipe = Recipe(epochs=1, batch_size=100, augment="none", evaluations=1)
    test = load_digits_test()
    return [Cell({}, Training(recipe, model, distilled, teacher, test), seed) for seed in range(count)]


def train_cells(count: int, place: Path) -> None:
    """Train every cell for a step; those that are finished already are not trained again."""
    from gift_jax.studies.grid import run_grid

    run_grid(study_cells(count), place, experiment="growth")


def finish_cells(count: int, place: Path) -> None:
    """Write the results of cells: that of the first, under the others' keys."""
    from gift_jax.studies.grid import run_grid
    from gift_jax.training.identity import fingerprint

    first, *others = study_cells(count)
    [row] = run_grid([first], place, experiment="growth")
    rows = [{**row, "cell": fingerprint(cell.identity()), "seed": cell.seed} for cell in others]
    with (place / "results.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def write_rows(count: int, place: Path) -> None:
    """Rows of a study, so many seeds of each of its settings."""
    path = Path("docs/results/loss_comparison/results.jsonl")
    rows = {json.dumps(row["labels"]): row for row in map(json.loads, path.read_text().splitlines())}
    with (place / "results.jsonl").open("w") as file:
        for number in range(count):
            row = [*rows.values()][number % len(rows)]
            file.write(json.dumps({**row, "seed": number // len(rows), "cell": f"{number:016x}"}) + "\n")


def _pngs() -> list[bytes]:
    """A hundred small images, which are written over and over."""
    from PIL import Image

    files = [io.BytesIO() for _ in range(100)]
    rng = np.random.default_rng(0)
    for file in files:
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(file, "PNG")
    return [file.getvalue() for file in files]


def write_folders(count: int, place: Path) -> None:
    """Small images in ten class folders."""
    pictures = _pngs()
    for label in range(10):
        (place / "images" / f"class{label}").mkdir(parents=True)
    for number in range(count):
        (place / "images" / f"class{number % 10}" / f"{number:06}.png").write_bytes(pictures[number % 100])


def write_archive(count: int, place: Path) -> None:
    """The same in one tar."""
    pictures = _pngs()
    with tarfile.open(place / "images", "w") as tar:
        for number in range(count):
            member = tarfile.TarInfo(f"class{number % 10}/{number:06}.png")
            member.size = len(pictures[number % 100])
            tar.addfile(member, io.BytesIO(pictures[number % 100]))
    (place / "images").rename(place / "images.tar")


def describe_evaluation(count: int, place: Path) -> None:
    """Small test images in folders, with what `experiments.evaluate` needs beside them; they are decoded once."""
    import jax

    from gift_jax import DistilledSet, save_distilled, save_teacher
    from gift_jax.models import get_model

    write_folders(count, place)
    measure((*ADD_FOLDERS, "--test-data", "images", "--image-size", "8"), place)
    with contextlib.chdir(place):
        info = tiny_teacher("grown", 10, 3).info
        model = get_model(info.spec)
        save_teacher(place / "teacher", info, *model.init(jax.random.key(0)))
        images = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), np.uint8)
        labels = np.arange(10, dtype=np.int32)
        save_distilled(place / "set.safetensors", DistilledSet(images, labels, None, "raw", "grown", "own", 1))
    measure(DRY_RUN, place)


REPORT = ("experiments.report", ".", "--out", "report")
ADD_FOLDERS = ("experiments.add_dataset", "grown", "--data", "images")
ADD_ARCHIVE = (*ADD_FOLDERS[:-1], "images.tar")
DRY_RUN = (
    *("experiments.evaluate", "--dataset", "grown", "--model", "conv1", "--method", "own", "--ipc", "1"),
    *("--distilled", "set.safetensors", "--teacher", "teacher", "--student-options", "width=2", "--dry-run"),
)


def write_bank(epochs: int, place: Path) -> None:
    """Stored labels of 10,000 images for so many epochs."""
    from gift_jax.data.stored_info import StoredBatches, StoredInfo
    from gift_jax.data.stored_labels import save_epoch, save_info, set_digest

    distilled, rng = digits(1000), np.random.default_rng(0)
    count, batch = len(distilled.labels), 1000
    for epoch in range(epochs):
        order, logits = rng.permutation(count).astype(np.int32), rng.normal(size=(count, 10)).astype(np.float16)
        boxes, unmixed = np.tile(np.array([0, 0, 8, 8], np.int16), (count, 1)), np.zeros(count, np.int32)
        whole, none = np.ones(count // batch, np.float32), np.zeros((count // batch, 4), np.int16)
        save_epoch(place, epoch, StoredBatches(order, boxes, np.zeros(count, bool), unmixed, whole, none, logits))
    told = {"distilled": set_digest(distilled), "order": "stored", "source": "random logits"}
    save_info(place, StoredInfo("digits", count, 10, 8, epochs, batch, "none", **told))


def replay(epochs: int, place: Path) -> None:
    """Train a student on all of them."""
    from gift_jax.data.evaluation import load_digits_test
    from gift_jax.data.stored_labels import load_soft_labels
    from gift_jax.models import get_model
    from gift_jax.recipes.recipe import Recipe
    from gift_jax.task import Task as Training

    model = get_model(tiny_teacher("digits", 10, 1).info.spec)
    recipe = Recipe(epochs=epochs, batch_size=1000, augment="none", evaluations=1)
    Training(recipe, model, digits(1000), None, load_digits_test(), load_soft_labels(place)).train((0,))


def synthesize(classes: int, place: Path) -> None:
    """RDED of five images of each class, one kept."""
    del place
    from gift_jax import rded

    images = np.random.default_rng(0).integers(0, 256, (5 * classes, 8, 8, 3), np.uint8)
    labels = np.repeat(np.arange(classes, dtype=np.int32), 5)
    settings = rded.RDED(images_per_class=5, smallest_area=0.5)
    # A dataset of as many classes as are asked for, and more.
    rded.synthesize(images, labels, tiny_teacher("imagenet-21k", classes, 3), ipc=1, settings=settings)


def save_history(epochs: int, place: Path) -> None:
    """Train a student up to one epoch before its last, and save its state."""
    from gift_jax.errors import GiftError

    def stop(done: int, loss: float) -> None:
        del loss
        nonlocal left
        left -= done
        if not left:
            raise GiftError("stopped, as it was to be")

    left = epochs + 1
    with contextlib.suppress(GiftError):
        _train(epochs, place, stop)


def resume(epochs: int, place: Path) -> None:
    """Go on with that student for the rest of its epochs."""
    _train(epochs, place, lambda done, loss: None)


def _train(epochs: int, place: Path, on_epoch: Callable[[int, float], None]) -> None:
    from gift_jax.training.resume import Checkpoints

    [cell] = study_cells(1)
    recipe = dataclasses.replace(cell.task.recipe, epochs=epochs + 1)
    task = dataclasses.replace(cell.task, recipe=recipe)
    task.train((0,), checkpoints=Checkpoints(place / "state", epochs=epochs), on_epoch=on_epoch)


def nothing(count: int, place: Path) -> None:
    """Write nothing beforehand."""


TASKS: Mapping[str, Task] = {
    "a study of finished cells": Task("cells", (50, 200, 800), finish_cells, train_cells),
    "a study of cells of one step": Task("cells", (50, 140, 392), nothing, train_cells),
    "a report": Task("rows", (1_000, 10_000, 100_000), write_rows, REPORT),
    "add_dataset, folders": Task("images", (10_000, 55_000, 302_500), write_folders, ADD_FOLDERS),
    "add_dataset, one archive": Task("images", (10_000, 55_000, 302_500), write_archive, ADD_ARCHIVE),
    "a dry run, its images decoded": Task("test images", (10_000, 55_000, 302_500), describe_evaluation, DRY_RUN),
    "a label bank": Task("epochs", (10, 55, 302), write_bank, replay),
    "RDED": Task("classes", (10, 100, 1_000), nothing, synthesize),
    "a restart": Task("epochs before it", (10, 100, 1_000), save_history, resume),
}


def measure(arguments: Sequence[str], place: Path) -> tuple[float, float]:
    """Run Python with these arguments in a directory, from its start to its end.

    Returns: seconds, and the largest resident set in MB. Raises: subprocess.CalledProcessError if it fails.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(place / "cache")}
    start = os.times().elapsed
    child = subprocess.Popen([sys.executable, "-m", *arguments], cwd=place, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, arguments)
    return os.times().elapsed - start, usage.ru_maxrss / 1e3


def grow(name: str, scale: float) -> dict:
    """The costs of a task at its sizes, or at a share of them, and their exponents."""
    task = TASKS[name]
    first, ratio = max(round(task.sizes[0] * scale), 2), round(task.sizes[1] / task.sizes[0], 3)
    sizes = (first, round(first * ratio), round(first * ratio**2))
    seconds, megabytes = [], []
    for size in sizes:
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            # In a process of its own: a child's largest resident set is at least what its parent has at the start.
            in_own_process(task.prepare, size, place)
            own = ("benchmarks.growth", "--task", name, "--size", str(size), "--place", directory)
            elapsed, memory = measure(own if callable(task.run) else task.run, place)
            seconds.append(elapsed)
            megabytes.append(memory)
            print(f"{name}: {size:,} {task.unit}, {elapsed:.1f} s, {memory:.0f} MB", flush=True)
    return {
        "unit": task.unit,
        "sizes": sizes,
        "seconds": [round(value, 2) for value in seconds],
        "megabytes": [round(value) for value in megabytes],
        "exponent of seconds": exponent(sizes, seconds, noise=1.0),
        "exponent of megabytes": exponent(sizes, megabytes, noise=20.0),
    }


def make_table(found: Mapping[str, Mapping]) -> str:
    """A line a task in Markdown."""
    table: list[Sequence[str]] = [("task", "sizes", "seconds", "MB", "exponent of time", "of memory")]
    for name, one in found.items():
        series = (" / ".join(f"{value:,}" for value in one[key]) for key in ("sizes", "seconds", "megabytes"))
        powers = (one[f"exponent of {key}"] for key in ("seconds", "megabytes"))
        shown = ("flat" if power is None else f"{power:.2f}" for power in powers)
        table.append((f"{name}, {one['unit']}", *series, *shown))
    return Table(table).markdown


def main(
    out: Path = RESULTS, scale: float = 1.0, task: str | None = None, size: int = 0, place: Path | None = None
) -> None:
    """Measure all tasks, and write and print the table; those that were measured before, by the same, stay.

    Args:
        out: JSON file of the results; a table in Markdown is written beside it.
        scale: of all sizes, to try this out.
        task: run this one alone, once; for the processes that this command starts.
        size: of that one.
        place: directory of that one.
    """
    if task and place:
        TASKS[task].run(size, place)
        return
    heading = {"machine": find_processor(), "versions": provenance.versions(), "scale": scale}
    told = json.loads(out.read_text()) if out.is_file() else {}
    found = told["tasks"] if {**told, "tasks": None} == {**heading, "tasks": None} else {}
    for name in (name for name in TASKS if name not in found):
        found[name] = grow(name, scale)
        write_text(out, json.dumps({**heading, "tasks": found}, indent=1) + "\n")
    found = {name: found[name] for name in TASKS}
    write_text(out.with_suffix(".md"), make_table(found) + "\n")
    print(make_table(found))


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.growth")
