"""Dataclasses out of JSON, checked by their annotations."""

import contextlib
import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from gift_jax.errors import GiftError, damage_as_gift_error


def from_json(kind: type, content: Any, where: str, mend: str) -> Any:
    """Make a dataclass of what JSON had. Raises: GiftError that names where it stood, if that does not fit."""
    try:
        with damage_as_gift_error("fields are missing or of the wrong kind", mend):
            return typed(kind, content)
    except GiftError as error:
        raise GiftError(f"{where}: {error}") from None


def typed(kind: Any, value: Any) -> Any:
    """Make a value of an annotated type: a dataclass of an object, a tuple of a list. Raises: TypeError, ValueError."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, dict):
        kinds = typing.get_type_hints(kind)
        known = {name: typed(kinds[name], content) for name, content in value.items() if name in kinds}
        return kind(**{**value, **known})
    if origin is tuple and isinstance(value, list):
        each = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return tuple(typed(*pair) for pair in zip(each, value, strict=True))
    if origin is Mapping and isinstance(value, dict):
        return {name: typed(arguments[1], content) for name, content in value.items()}
    for one in arguments if origin is types.UnionType else ():
        with contextlib.suppress(TypeError):
            return typed(one, value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of {kind}")
    return value
