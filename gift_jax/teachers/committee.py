"""Several teachers as one: the weighted mean of their logits."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gift_jax.errors import GiftError
from gift_jax.models import Network, Variables
from gift_jax.teachers.teacher import Teacher


class Committee(NamedTuple):
    """The networks of several teachers as one network."""

    members: tuple[Network, ...]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        return self.members[0].input_shape

    def apply(self, params: Variables, batch_stats: Variables, images: jax.Array) -> tuple[jax.Array, Variables]:
        """Run all of them. Args: params, those of member n under `str(n)`, and their `shares` [N]; images as a Model's.

        Returns: logits [B, classes], `sum_n share_n z_n`, and batch_stats as they are.
        """
        logits = [member.apply(params[str(number)], {}, images)[0] for number, member in enumerate(self.members)]
        return jnp.einsum("n,nbc->bc", params["shares"], jnp.stack(logits), precision="highest"), batch_stats

    def cast(self, params: Variables, dtype: jnp.dtype) -> Variables:
        """Each member's weights in this precision, as it casts them, and the shares."""
        members = {str(number): one.cast(params[str(number)], dtype) for number, one in enumerate(self.members)}
        return {**members, "shares": params["shares"].astype(dtype)}


def unite(teachers: Sequence[Teacher], weights: Sequence[float] = ()) -> Teacher:
    """Make one teacher of several, whose logits are the mean of theirs. One alone stays as it is.

    Args: weights, above 0, of which each teacher has its share; () weighs all alike. EDC's labels are a plain mean,
    CV-DD's weights are `exp(accuracy / 10)`.
    """
    first, *others = teachers
    if weights and (len(weights) != len(teachers) or not all(0 < weight < np.inf for weight in weights)):
        raise GiftError(f"{len(teachers)} teachers need as many weights above 0, not {', '.join(map(str, weights))}")
    for other in others:
        for what, one, another in zip(("dataset", "input", "normalisation"), _fit(first), _fit(other), strict=True):
            if one != another:
                pair = f"the teachers {first.info.architecture} and {other.info.architecture}"
                raise GiftError(f"{pair} differ in their {what}: {one}, {another}; give teachers that are alike in it")
    if not others:
        return first
    weighed = np.asarray(weights or [1.0] * len(teachers), np.float32)
    params = {str(number): one.params for number, one in enumerate(teachers)}
    infos = [one.info for one in teachers]
    info = dataclasses.replace(
        first.info,
        architecture="+".join(one.architecture for one in infos),
        options={},
        source_file=", ".join(one.source_file for one in infos),
        source_sha256=hashlib.sha256("".join(one.source_sha256 for one in infos).encode()).hexdigest(),
        verification=None,
    )
    committee = Committee(tuple(one.model for one in teachers))
    return Teacher(committee, {**params, "shares": jnp.asarray(weighed / weighed.sum())}, info)


def _fit(teacher: Teacher) -> tuple[object, ...]:
    return teacher.info.dataset, (*teacher.model.input_shape, teacher.info.num_classes), teacher.info.normalisation
