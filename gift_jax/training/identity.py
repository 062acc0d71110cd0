"""What tells runs apart, as plain JSON and short digests: by it runs are known again, unfinished and finished ones."""

import dataclasses
import hashlib
import json
import weakref
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from gift_jax.data.distilled import DistilledSet
from gift_jax.data.evaluation import EvaluationSet
from gift_jax.data.record_set import RecordSet
from gift_jax.data.stored_labels import set_digest
from gift_jax.models import Model, Network
from gift_jax.teachers.committee import Committee
from gift_jax.teachers.teacher import Teacher

_DIGITS, _SAMPLES = 16, 4096  # hexadecimal ones of a digest; elements that tell whether a known array was changed


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that tell identities apart."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def differences(found: Any, wanted: Any, name: str = "") -> list[str]:
    """Where two identities differ, as `recipe.loss: 'kl' there, 'gift' here`."""
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
    return result.hexdigest()[:_DIGITS]


# Digests of arrays that cannot change, by `id`, beside a reference that removes the entry when the array is gone.
_KNOWN: dict[int, tuple[weakref.ref, int, str]] = {}


def array_digest(array: np.ndarray | jax.Array) -> str:
    """`digest` of one array, which is computed once if nobody can write into it, and anew each time otherwise.

    It is computed anew, too, if a sample of the elements is another one: an earlier view may write into an array that
    was frozen, and a file that is mapped into memory may be replaced.
    """
    key, sample = id(array), _sample(array)
    if key in _KNOWN and _KNOWN[key][0]() is array and _KNOWN[key][1] == sample:
        return _KNOWN[key][2]
    found = digest(array)
    if _is_constant(array):
        _KNOWN[key] = (weakref.ref(array, lambda _: _KNOWN.pop(key, None)), sample, found)
    return found


def _sample(array: np.ndarray | jax.Array) -> int:
    """Of elements that are evenly spread; nobody can change JAX's own arrays."""
    return hash(array.reshape(-1)[:: 1 + array.size // _SAMPLES].tobytes()) if isinstance(array, np.ndarray) else 0


def _is_constant(array: Any) -> bool:
    """Whether neither the array nor one that it is a view of may be written to."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return True


def set_identity(distilled: DistilledSet | RecordSet) -> dict[str, Any]:
    """Method, dataset, pixel space, and digests of every image and label."""
    heading = {"method": distilled.method, "dataset": distilled.dataset, "space": distilled.pixel_space}
    if isinstance(distilled, RecordSet):
        return {**heading, "files": set_digest(distilled), "labels": array_digest(distilled.labels)}
    arrays = {"images": distilled.images, "labels": distilled.labels, "soft_labels": distilled.soft_labels}
    return {**heading, **{name: None if array is None else array_digest(array) for name, array in arrays.items()}}


def teacher_identity(teacher: Teacher | None) -> dict[str, Any] | None:
    """Architectures with their options, digest of the weights, normalisation."""
    if teacher is None:
        return None
    leaves = jax.tree.leaves_with_path(teacher.params)
    return {
        "networks": _networks(teacher.model),
        "weights": fingerprint({jax.tree_util.keystr(path): array_digest(leaf) for path, leaf in leaves}),
        "normalisation": dataclasses.asdict(teacher.info.normalisation),
    }


def _networks(network: Network) -> list[dict[str, Any]]:
    """Architectures and options of a teacher, or of each that it is made of."""
    if isinstance(network, Committee):
        return [spec for member in network.members for spec in _networks(member)]
    return [dataclasses.asdict(network.spec)] if isinstance(network, Model) else [{"name": repr(network)}]


def test_set_identity(test_set: EvaluationSet | None) -> dict[str, Any] | None:
    """Dataset, pixel space, and digests of every image and label."""
    if test_set is None:
        return None
    return {
        "dataset": test_set.dataset,
        "space": test_set.pixel_space,
        "count": len(test_set.labels),
        "labels": array_digest(test_set.labels),
        "images": array_digest(test_set.images),
    }


def random_identity() -> dict[str, Any]:
    """How JAX draws random numbers and multiplies in this process; some of it only where it is not JAX's default."""
    names = ("default_prng_impl", "threefry_partitionable", "enable_x64")
    found = {name: getattr(jax.config, f"jax_{name}") for name in names}
    usual = {"default_matmul_precision": (None, "default"), "random_seed_offset": (0,)}
    values = {name: getattr(jax.config, f"jax_{name}") for name in usual}
    return found | {name: value for name, value in values.items() if value not in usual[name]}
