"""What decides a run's numbers, as plain JSON: by it runs are known again, unfinished ones and finished ones."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.fkd import StoredLabels, set_digest
from gift_jax.data.record_set import RecordSet
from gift_jax.models import Model
from gift_jax.recipes.recipe import Recipe
from gift_jax.teachers.teacher import Teacher

_SAMPLE = 64  # evaluation images that enter a digest: a whole set may be mapped from disk


def describe(
    recipe: Recipe,
    student: Model,
    distilled: DistilledSet | RecordSet,
    teacher: Teacher | None,
    evaluation_set: EvaluationSet,
    soft_labels: StoredLabels | None = None,
) -> dict[str, Any]:
    """Names and settings of a run, and digests of its arrays; all but its seed."""
    return {
        "recipe": dataclasses.asdict(recipe),
        "student": dataclasses.asdict(student.spec),
        "distilled": _describe_set(distilled),
        "teacher": _describe_teacher(teacher),
        "evaluation": describe_evaluation(evaluation_set),
        "soft_labels": dataclasses.asdict(soft_labels.info) if soft_labels else None,
    }


def fingerprint(configuration: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that tell configurations apart."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()[:16]


def differences(found: Any, wanted: Any, name: str = "") -> list[str]:
    """Where two configurations differ, as `recipe.loss: 'kl' there, 'gift' here`."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        parts = (differences(found.get(key), wanted.get(key), f"{name}.{key}".lstrip(".")) for key in keys)
        return [text for part in parts for text in part]
    return [] if found == wanted else [f"{name}: {found!r} there, {wanted!r} here"]


def digest(arrays: Any) -> str:
    """SHA-256, 16 digits of it, over the arrays of a tree: shapes, types, places and bytes."""
    result = hashlib.sha256()
    for path, leaf in sorted(jax.tree.leaves_with_path(arrays), key=lambda item: jax.tree_util.keystr(item[0])):
        array = np.asarray(leaf)
        result.update(f"{jax.tree_util.keystr(path)} {array.dtype}{array.shape}\n".encode())
        result.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return result.hexdigest()[:16]


# By the identity of what was digested, which is kept beside its digest so that the identity stays its own.
_DIGESTS: dict[int, tuple[Any, str]] = {}


def _digest_once(arrays: Any) -> str:
    if id(arrays) not in _DIGESTS:
        _DIGESTS[id(arrays)] = (arrays, digest(arrays))
    return _DIGESTS[id(arrays)][1]


def _describe_set(distilled: DistilledSet | RecordSet) -> dict[str, Any]:
    heading = {"method": distilled.method, "dataset": distilled.dataset, "space": distilled.pixel_space}
    if isinstance(distilled, RecordSet):
        return {**heading, "files": set_digest(distilled), "labels": _digest_once(distilled.labels)}
    arrays = {"images": distilled.images, "labels": distilled.labels, "soft_labels": distilled.soft_labels}
    digests = {name: None if array is None else _digest_once(array) for name, array in arrays.items()}
    return {**heading, **digests}


def _describe_teacher(teacher: Teacher | None) -> dict[str, Any] | None:
    if teacher is None:
        return None
    normalisation = dataclasses.asdict(teacher.info.normalisation)
    return {"weights": _digest_once(teacher.params), "normalisation": normalisation}


def describe_evaluation(evaluation_set: EvaluationSet | None) -> dict[str, Any] | None:
    """Name, pixel space, size, labels and a sample of the images of an evaluation set."""
    if evaluation_set is None:
        return None
    sample = np.linspace(0, len(evaluation_set.labels) - 1, _SAMPLE).round().astype(int)
    return {
        "dataset": evaluation_set.dataset,
        "space": evaluation_set.pixel_space,
        "count": len(evaluation_set.labels),
        "labels": _digest_once(evaluation_set.labels),
        "sample": digest(evaluation_set.images[sample]),
    }
