"""Which of a checkpoint's state dicts is the network, and its weights as this library's variables."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from gift_jax.errors import GiftError, short_reason
from gift_jax.models import MODELS, ModelSpec, Variables, get_model
from gift_jax.runtime.files import read_json_object
from gift_jax.teachers.teacher import flatten, unflatten

from .families import Family, check_arch, find_family
from .families.spelling import in_official_names, nearest
from .rules import IGNORED, Flat, from_torch, shown
from .torch_file import EMA_KEYS, find_states, load_object

MOST_LISTED = 6  # names in a sentence


class Read(NamedTuple):
    """A checkpoint as this library's variables.

    spec has the options that the weights tell; state is PyTorch's, under the official names; key is where in the file
    it was.
    """

    spec: ModelSpec
    params: Variables
    batch_stats: Variables
    state: Mapping[str, torch.Tensor]
    key: str

    @property
    def averaged(self) -> bool:
        """Whether these are weights that the trainer averaged."""
        return is_averaged(self.key)


def read_checkpoint(
    path: Path,
    spec: ModelSpec,
    family: Family,
    *,
    ema: bool = False,
    key: str | None = None,
    rows: Sequence[int] | None = None,
) -> Read:
    """Read the one state dict of a checkpoint that fits the spec.

    Args: ema, of the averaged ones; key, the one under it; rows, of the head, one a class, where it has more.
    Raises: GiftError if none fits exactly, or several do.
    """
    with blamed_on(path):
        content = load_object(path)
        for told in _told_architectures(path, content):
            check_arch(str(path), told)
        found = find_states(str(path), content)
        named = {name: state for name, state in found.items() if recognised(state, spec, family)}
        chosen = _asked_for(path, found, named, ema=ema, key=key)
        read = functools.partial(_read_state, spec=spec, family=family, rows=rows)
        if len(chosen) == 1:
            [(name, state)] = chosen.items()
            return read(str(path), name, state)
        return _the_one_that_fits(path, chosen, read)


def _told_architectures(path: Path, content: object) -> Iterator[object]:
    """What a checkpoint, and a config.json beside it, say of the architecture."""
    beside = path.parent / "config.json"
    for told in (content, read_json_object(beside) if beside.is_file() else None):
        if isinstance(told, Mapping):
            yield from (told.get(name) for name in ("arch", "architecture"))


@contextlib.contextmanager
def blamed_on(path: Path) -> Iterator[None]:
    """Whatever a file makes PyTorch or NumPy raise becomes one sentence about it."""
    try:
        yield
    except GiftError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {short_reason(error)}"
        raise GiftError(
            f"{path}: holds what cannot be read as weights ({reason}); save `model.state_dict()` as float32"
        ) from error


def recognised(state: Mapping[str, torch.Tensor], spec: ModelSpec, family: Family) -> int:
    """How many of a state dict's names are the family's, in the spelling that fits it best."""
    return nearest(state, family.rules(spec), family.spellings)[1]


def is_averaged(key: str) -> bool:
    """Whether trainers keep averaged weights under this dotted path of keys."""
    return any(part in EMA_KEYS for part in key.split("."))


States = Mapping[str, dict[str, torch.Tensor]]


def _asked_for(path: Path, found: States, named: States, *, ema: bool, key: str | None) -> States:
    """The state dicts that may be meant: the one under the key, averaged ones or others, if possible the family's."""
    if key is not None:
        parts = {**found, **{name: part for at, state in found.items() for name, part in _parts_of(at, state).items()}}
        if key not in parts:
            raise GiftError(f"{path}: has no state dict under --key {key}; it has {_listed(found)}")
        return {key: parts[key]}
    pool = named or found
    kept = {name: state for name, state in pool.items() if is_averaged(name) == ema}
    if ema and not kept:
        raise GiftError(
            f"{path}: holds no averaged weights ({', '.join(EMA_KEYS[:4])}) but {_listed(pool)}; "
            "leave out --ema, or name them with --key"
        )
    return kept or pool


def _parts_of(key: str, state: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The networks that one state dict may hold beside each other: the names behind each first attribute."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in state.items():
        first, _, rest = name.partition(".")
        if rest:
            parts.setdefault(f"{key}.{first}" if key else first, {})[rest] = tensor
    return parts


def _the_one_that_fits(path: Path, states: States, read: Callable[..., Read]) -> Read:
    """Of several state dicts the one that can be read. Raises: GiftError of the largest, or that names all that fit."""
    fitting: list[Read] = []
    refusals: dict[str, GiftError] = {}
    for name, state in states.items():
        try:
            fitting.append(read(f"{path} (under {shown(name)})", name, state))
        except GiftError as error:
            refusals[name] = error
    if not fitting:
        raise refusals[max(refusals, key=lambda name: len(states[name]))]
    if len(fitting) > 1:
        keys = _listed([one.key for one in fitting])
        raise GiftError(f"{path}: holds several state dicts that fit, {keys}; choose one with --key")
    return fitting[0]


def _listed(keys: Iterable[str]) -> str:
    names = [shown(key) if key else "one without a key" for key in keys]
    return ", ".join(names[:MOST_LISTED]) + (
        f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    )


def _read_state(
    where: str,
    key: str,
    state: Mapping[str, torch.Tensor],
    *,
    spec: ModelSpec,
    family: Family,
    rows: Sequence[int] | None,
) -> Read:
    table = family.rules(spec)
    official = in_official_names(where, spec, state, table, family.spellings)
    if rows is not None:
        official |= head_rows(where, family.head, official, rows)
    try:
        spec = family.read_spec(where, spec, official)
    except GiftError as error:
        raise _explained(error, key, state, spec, family) from None
    shapes = dict(zip(("params", "batch_stats"), get_model(spec).abstract(), strict=True))
    flat = from_torch(where, official, family.rules(spec), {group: flatten(tree) for group, tree in shapes.items()})
    _check_variances(where, flat)
    params, batch_stats = (unflatten(flat[group], shapes[group]) for group in ("params", "batch_stats"))
    return Read(spec, params, batch_stats, official, key)


def _explained(
    error: GiftError, key: str, state: Mapping[str, torch.Tensor], spec: ModelSpec, family: Family
) -> GiftError:
    """A refusal that also says what would fit: a network within the state dict, or another architecture."""
    parts = _parts_of(key, state)
    if within := [name for name, part in parts.items() if len(parts) > 1 and _all_known(part, spec, family)]:
        return GiftError(f"{error}; it holds several networks, and --key takes one: {_listed(within)}")
    specs = (dataclasses.replace(spec, name=name) for name in MODELS)
    relatives = (other.name for other in specs if _all_known(state, other, find_family(other.name)))
    relative = None if recognised(state, spec, family) else next(relatives, None)
    return GiftError(f"{error}; its names are those of a {relative} or a relative of it") if relative else error


def _all_known(state: Mapping[str, torch.Tensor], spec: ModelSpec, family: Family) -> bool:
    return 0 < recognised(state, spec, family) == sum(not IGNORED.fullmatch(name) for name in state)


def head_rows(where: str, head: str, state: Mapping[str, torch.Tensor], rows: Sequence[int]) -> dict[str, torch.Tensor]:
    """The last layer with these of its outputs only, in this order. Raises: GiftError if it has no such output."""
    tensors = {name: state[name] for name in (f"{head}.weight", f"{head}.bias") if name in state}
    for name, tensor in tensors.items():
        count = tensor.shape[0] if tensor.ndim else 0
        if not rows or not 0 <= min(rows) <= max(rows) < count or len(set(rows)) != len(rows):
            raise GiftError(f"{where}: {name} has {count} rows; give different --rows from 0 to {count - 1}")
    return {name: tensor[list(rows)] for name, tensor in tensors.items()}


def _check_variances(where: str, flat: Flat) -> None:
    for name, array in flat["batch_stats"].items():
        if name.endswith("/var") and (array < 0).any():
            raise GiftError(f"{where}: {name} holds negative variances; the file is damaged, save it again")
