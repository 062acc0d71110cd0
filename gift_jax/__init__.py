"""GIFT in JAX: label refinement and cosine loss for training on distilled datasets, under PyTorch teachers."""

import importlib
from typing import TYPE_CHECKING, Any

from gift_jax.errors import GiftError

if TYPE_CHECKING:
    from gift_jax.data.distilled import DistilledSet, load_distilled, save_distilled
    from gift_jax.teachers.teacher import Teacher, TeacherInfo, load_teacher, save_teacher

__all__ = [
    "DistilledSet",
    "GiftError",
    "Teacher",
    "TeacherInfo",
    "load_distilled",
    "load_teacher",
    "save_distilled",
    "save_teacher",
]

# Imported when first asked for, so that a command line answers --help without loading JAX.
_HOMES = {
    **dict.fromkeys(("Teacher", "TeacherInfo", "load_teacher", "save_teacher"), "gift_jax.teachers.teacher"),
    **dict.fromkeys(("DistilledSet", "load_distilled", "save_distilled"), "gift_jax.data.distilled"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
