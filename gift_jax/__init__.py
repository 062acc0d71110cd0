"""GIFT in JAX: label refinement and cosine loss for training on distilled datasets, under PyTorch teachers."""

from gift_jax.checkpoint import Teacher, TeacherInfo, load_teacher, save_teacher
from gift_jax.data.distilled import DistilledSet, load_distilled, save_distilled
from gift_jax.errors import GiftError

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
