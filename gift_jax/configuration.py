"""What decides a run's numbers, as plain JSON: by it an unfinished run knows whether it is the one to go on with."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from gift_jax.checkpoint import Teacher
from gift_jax.data.distilled import DistilledSet
from gift_jax.data.fkd import StoredLabels, set_digest
from gift_jax.data.record_set import RecordSet
from gift_jax.models import Variables
from gift_jax.step import Program


def describe(
    program: Program,
    distilled: DistilledSet | RecordSet,
    teacher: Teacher | None,
    soft_labels: StoredLabels | None,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """The complete configuration of a training: recipe, student, digests of teacher and sets, seeds."""
    return {
        "recipe": dataclasses.asdict(program.recipe),
        "student": dataclasses.asdict(program.model.spec),
        "teacher": {"architecture": teacher.info.architecture, "weights": digest(teacher.params)} if teacher else None,
        "distilled": {
            "method": distilled.method,
            "dataset": distilled.dataset,
            "ipc": distilled.ipc,
            "normalisation": dataclasses.asdict(program.normalisation),
            "content": set_digest(distilled),
            "soft_labels": None if distilled.soft_labels is None else digest({"soft_labels": distilled.soft_labels}),
        },
        "stored_labels": dataclasses.asdict(soft_labels.info) if soft_labels else None,
        "seeds": list(seeds),
    }


def digest(tree: Variables) -> str:
    """Digest of the names, shapes, dtypes and bytes of all arrays."""
    result = hashlib.blake2b(digest_size=16)
    for path, leaf in sorted(jax.tree.leaves_with_path(tree), key=lambda item: str(item[0])):
        array = np.asarray(leaf)
        result.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        result.update(np.ascontiguousarray(array).tobytes())
    return result.hexdigest()


def differences(found: Any, wanted: Any, name: str = "") -> list[str]:
    """Where two configurations differ, as `recipe.loss: 'kl' there, 'gift' here`."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        parts = (differences(found.get(key), wanted.get(key), f"{name}.{key}".lstrip(".")) for key in keys)
        return [text for part in parts for text in part]
    return [] if found == wanted else [f"{name}: {found!r} there, {wanted!r} here"]
