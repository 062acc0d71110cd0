"""Which of a checkpoint's state dicts is the network, and its weights as this library's variables."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import torch

from gift_jax.data.datasets import Normalisation
from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.models import MODELS, ModelSpec, Variables, get_model
from gift_jax.runtime.files import read_json_object
from gift_jax.teachers.teacher import flatten, unflatten

from .families import Family, check_arch, find_family
from .families.spelling import State, nearest
from .rules import IGNORED, from_torch, name_in_file, shown
from .torch_file import EMA_KEYS, find_states, load_object

MOST_LISTED = 6  # names in a sentence


class Read(NamedTuple):
    """A checkpoint as this library's variables.

    spec has the options that the weights tell; state is PyTorch's, under the official names; key is where in the file
    it was; normalisation, of a layer that stood before the network.
    """

    spec: ModelSpec
    params: Variables
    batch_stats: Variables
    state: State
    key: str
    normalisation: Normalisation | None = None


def read_checkpoint(
    path: Path,
    spec: ModelSpec,
    family: Family,
    *,
    ema: bool = False,
    key: str | None = None,
    rows: Sequence[int] | None = None,
    normalised: bool = False,
) -> Read:
    """Read the one state dict of a checkpoint that fits the spec.

    Args:
        ema: read the averaged ones.
        key: read the one under it.
        rows: of the head, one a class, where it has more.
        normalised: whether the caller knows how images are normalised, so that no layer in the file need tell.
    """
    with blamed_on(path):
        content = load_object(path)
        for told in _told_architectures(path, content):
            check_arch(str(path), told)
        found, layers = {}, {}
        for name, state in find_states(str(path), content).items():
            found[name], layers[name] = _without_normalisation(state)
        named = {name: state for name, state in found.items() if _recognised(state, spec, family)}
        taken = _the_one_that_fits(path, _asked_for(path, found, named, ema=ema, key=key), spec, family, rows)
        if normalised:
            return taken
        alone = taken.key in found
        around, _, within = (taken.key, "", "") if alone else taken.key.rpartition(".")
        if not alone and (unread := _small_tensors_beside(found[around], within)):
            raise GiftError(
                f"{path}: beside the network, {', '.join(unread)} may change its images; give --mean and --std, "
                "the statistics that the network was trained with"
            )
        return taken._replace(normalisation=_normalisation(path, layers[around], spec.channels))


def _told_architectures(path: Path, content: object) -> Iterator[object]:
    """What a checkpoint, and a config.json beside it, say of the architecture."""
    beside = path.parent / "config.json"
    for told in (content, read_json_object(beside) if beside.is_file() else None):
        if isinstance(told, Mapping):
            yield from (told.get(name) for name in ("arch", "architecture"))


def blamed_on(path: Path) -> AbstractContextManager[None]:
    """Whatever a file makes PyTorch or NumPy raise becomes one sentence about it."""
    return damage_as_gift_error(f"{path}: holds what cannot be read as weights", "save `model.state_dict()` as float32")


def _recognised(state: State, spec: ModelSpec, family: Family) -> int:
    return nearest(state, family.rules(spec), family.spellings).known


def is_averaged(key: str) -> bool:
    """Whether trainers keep averaged weights under this dotted path of keys."""
    return any(part in EMA_KEYS for part in key.split("."))


States = Mapping[str, State]


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


# What layers call the colour statistics by which they normalise images, and the values that these have at most.
MEANS, DEVIATIONS = ("mean", "means", "mu", "pixel_mean"), ("std", "stds", "sigma", "pixel_std")
SMALL = 9


def _without_normalisation(state: State) -> tuple[State, State]:
    """A state dict without the mean and deviation of the one layer that normalises images, and these two."""
    found = [
        [name for name, tensor in state.items() if name.rpartition(".")[2] in names and tensor.numel() <= SMALL]
        for names in (MEANS, DEVIATIONS)
    ]
    if [len(names) for names in found] != [1, 1]:
        return state, {}
    taken = {name: state[name] for [name] in found}
    return {name: tensor for name, tensor in state.items() if name not in taken}, taken


def _normalisation(path: Path, layer: State, channels: int) -> Normalisation | None:
    """The colour statistics of a layer, mean and deviation. Raises: GiftError if they are not of pixels in [0, 1]."""
    if not layer:
        return None
    # By way of text: 0.4914 in float32 is the dataset's 0.4914 again.
    mean, std = (tuple(float(str(value)) for value in tensor.float().numpy().ravel()) for tensor in layer.values())
    values = [values * channels if len(values) == 1 else values for values in (mean, std)]
    with contextlib.suppress(GiftError):
        if len(values[0]) == channels:
            return Normalisation(*values)
    names = " and ".join(name_in_file(*item) for item in layer.items())
    raise GiftError(
        f"{path}: {names} normalise images by {list(mean)} and {list(std)}, which are no statistics of pixels in "
        "[0, 1]; give --mean and --std"
    )


def _small_tensors_beside(state: State, within: str) -> list[str]:
    """Names in layers outside of the one within a state dict that are as small as one on colours."""
    layers: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in state.items():
        layers.setdefault(name.partition(".")[0], {})[name] = tensor
    others = [layer for first, layer in layers.items() if first != within]
    small = [layer for layer in others if all(tensor.numel() <= SMALL for tensor in layer.values())]
    return [name_in_file(*item) for layer in small for item in layer.items() if item[1].is_floating_point()]


def _parts_of(key: str, state: State) -> States:
    """The networks that one state dict may hold beside each other: the names behind each first attribute."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in state.items():
        first, _, rest = name.partition(".")
        if rest:
            parts.setdefault(f"{key}.{first}" if key else first, {})[rest] = tensor
    return parts


def _the_one_that_fits(path: Path, states: States, spec: ModelSpec, family: Family, rows: Sequence[int] | None) -> Read:
    """Of several state dicts the one that can be read. Raises: GiftError of the largest, or that names all that fit."""
    fitting: list[Read] = []
    refusals: dict[str, GiftError] = {}
    for key, state in states.items():
        where = f"{path} (under {shown(key)})" if len(states) > 1 else str(path)
        try:
            fitting.append(_read_state(where, key, state, spec, family, rows))
        except GiftError as error:
            refusals[key] = error
    if not fitting:
        raise refusals[max(refusals, key=lambda name: len(states[name]))]
    if len(fitting) > 1:
        keys = _listed([one.key for one in fitting])
        raise GiftError(f"{path}: holds several state dicts that fit, {keys}; choose one with --key")
    return fitting[0]


def _listed(keys: Iterable[str]) -> str:
    names = [shown(key) if key else "one without a key" for key in keys]
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more


def _read_state(
    where: str, key: str, state: State, spec: ModelSpec, family: Family, rows: Sequence[int] | None
) -> Read:
    reading = nearest(state, family.rules(spec), family.spellings)
    if reason := reading.spelling.refusal(spec):
        raise GiftError(f"{where}: {reason}")
    official = reading.spelling.adapt(reading.state)
    if rows is not None:
        official |= head_rows(where, family.head(spec), official, rows)
    try:
        spec = family.read_spec(where, spec, official)
    except GiftError as error:
        raise _explained(error, key, state, spec, family) from None
    shapes = dict(zip(("params", "batch_stats"), get_model(spec).abstract(), strict=True))
    flat = from_torch(where, official, family.rules(spec), {group: flatten(tree) for group, tree in shapes.items()})
    for name, array in flat["batch_stats"].items():
        if name.endswith("/var") and (array < 0).any():
            raise GiftError(f"{where}: {name} holds negative variances; the file is damaged, save it again")
    params, batch_stats = (unflatten(flat[group], shapes[group]) for group in ("params", "batch_stats"))
    return Read(spec, params, batch_stats, official, key)


def _explained(error: GiftError, key: str, state: State, spec: ModelSpec, family: Family) -> GiftError:
    """A refusal that also says what would fit: a network within the state dict, or another architecture."""
    parts = _parts_of(key, state)
    if within := [name for name, part in parts.items() if len(parts) > 1 and _all_known(part, spec, family)]:
        return GiftError(f"{error}; it holds several networks, and --key takes one: {_listed(within)}")
    specs = (dataclasses.replace(spec, name=name) for name in MODELS)
    relatives = (other.name for other in specs if _all_known(state, other, find_family(other.name)))
    relative = None if _recognised(state, spec, family) else next(relatives, None)
    return GiftError(f"{error}; its names are those of a {relative} or a relative of it") if relative else error


def _all_known(state: State, spec: ModelSpec, family: Family) -> bool:
    return 0 < _recognised(state, spec, family) == sum(not IGNORED.fullmatch(name) for name in state)


def head_rows(where: str, head: str, state: State, rows: Sequence[int]) -> dict[str, torch.Tensor]:
    """The last layer with these of its outputs only, in this order. Raises: GiftError if it has no such output."""
    tensors = {name: state[name] for name in (f"{head}.weight", f"{head}.bias") if name in state}
    for name, tensor in tensors.items():
        count = tensor.shape[0] if tensor.ndim else 0
        if not rows or not 0 <= min(rows) <= max(rows) < count or len(set(rows)) != len(rows):
            raise GiftError(f"{where}: {name} has {count} rows; give different --rows from 0 to {count - 1}")
    return {name: tensor[list(rows)] for name, tensor in tensors.items()}
