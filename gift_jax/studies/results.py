"""Results of runs: one JSON line a finished run, with everything needed to repeat it."""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.fkd import StoredLabels
from gift_jax.data.record_set import RecordSet
from gift_jax.errors import GiftError
from gift_jax.models import Model
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.files import os_errors_as_gift_error
from gift_jax.runtime.provenance import device, versions
from gift_jax.teachers.teacher import Teacher
from gift_jax.training.normalising import settle
from gift_jax.training.replay import adapt_recipe
from gift_jax.training.train import Run


def make_row(
    run: Run,
    recipe: Recipe,
    student: Model,
    distilled: DistilledSet | RecordSet,
    teacher: Teacher | None,
    soft_labels: StoredLabels | None = None,
) -> dict[str, Any]:
    """Describe a finished run as one JSON object: names, accuracies in percent, seconds, configuration as it ran."""
    recipe, _ = settle(recipe, distilled, teacher)
    if soft_labels is not None:
        recipe = adapt_recipe(recipe, soft_labels.info)
    return {
        "method": distilled.method,
        "dataset": distilled.dataset,
        "model": student.spec.name,
        "teacher": teacher.info.architecture if teacher else None,
        "loss": "-".join(recipe.losses),
        "optimizer": recipe.optimizer.name,
        "ipc": distilled.ipc,
        "seed": run.seed,
        "epochs": recipe.epochs,
        "top1_last": run.top1_last,
        "top1_best": run.top1_best,
        "top5_last": run.top5_last,
        "train_seconds": round(run.train_seconds, 3),
        "images_per_second": round(run.images_per_second, 1),
        "history": [evaluation._asdict() for evaluation in run.history],
        "recipe": dataclasses.asdict(recipe),
        "student": dataclasses.asdict(student.spec),
        "teacher_sha256": teacher.info.source_sha256 if teacher else None,
        "soft_labels": dataclasses.asdict(soft_labels.info) if soft_labels else None,
        "distilled": dict(distilled.provenance),
        "versions": versions(),
        "device": device(),
    }


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read a `results.jsonl`.

    A last line that was cut short, by a writer that was stopped, is passed over with a warning. Raises: GiftError that
    names a damaged line.
    """
    with os_errors_as_gift_error(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    lines, rows = text.splitlines(), []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            if number < len(lines) or text.endswith("\n"):
                raise GiftError(f"{path}: line {number} is not JSON; delete that line and run again") from None
            print(f"warning: {path}: line {number} was cut short and is passed over", file=sys.stderr)
    return rows


def drop_cut_line(path: Path) -> None:
    """Cut off a last line without an end, which a stopped writer left, so that the next one starts afresh."""
    if not path.is_file():
        return
    with os_errors_as_gift_error(path):
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)
