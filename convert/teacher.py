"""`python -m convert teacher`: a PyTorch checkpoint becomes a verified teacher directory."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import torch

from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.errors import GiftError, short_reason
from gift_jax.models import MODELS, Model, ModelSpec, Variables, fold, get_model
from gift_jax.runtime.files import sha256
from gift_jax.teachers.teacher import (
    WEIGHTS,
    TeacherInfo,
    Verification,
    flatten,
    load_arrays,
    new_teacher,
    save_arrays,
    unflatten,
    write_info,
)

from .families import ALIASES, Family, check_arch, find_family
from .families.spelling import in_official_names, nearest
from .rules import IGNORED, Flat, batches_tracked, from_torch, shown
from .torch_file import EMA_KEYS, find_states, load_object

VERIFICATION_IMAGES, VERIFICATION_BATCH = 16, 2
# float32 sums in another order differ by about 1e-6 of the largest logit; a wrong layout by about 1.
TOLERANCE = 1e-4
MOST_LISTED = 6  # names in a sentence
PACKAGES = ("gift-jax", "jax", "flax", "torch", "numpy")


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


def read_variables(
    path: Path,
    spec: ModelSpec,
    family: Family,
    *,
    ema: bool = False,
    key: str | None = None,
    rows: Sequence[int] | None = None,
) -> tuple[ModelSpec, Variables, Variables, Mapping[str, torch.Tensor]]:
    """Read a checkpoint into this library's variables, as `read_checkpoint` does.

    Returns: the spec with the options that the weights tell, params, batch_stats, and PyTorch's state dict
    under the official names. Raises: GiftError if the file and the spec do not fit exactly.
    """
    return read_checkpoint(path, spec, family, ema=ema, key=key, rows=rows)[:4]


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
        check_arch(str(path), content.get("arch") if isinstance(content, Mapping) else None)
        found = find_states(str(path), content)
        named = {name: state for name, state in found.items() if recognised(state, spec, family)}
        chosen = _asked_for(path, found, named, ema=ema, key=key)
        read = functools.partial(_read_state, spec=spec, family=family, rows=rows)
        if len(chosen) == 1:
            [(name, state)] = chosen.items()
            return read(str(path), name, state)
        return _the_one_that_fits(path, chosen, read)


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
    return recognised(state, spec, family) == sum(not IGNORED.fullmatch(name) for name in state)


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


def verify(weights: Path, spec: ModelSpec, theirs: np.ndarray) -> Verification:
    """Compare the logits of weights as they were written, BatchNorm folded, with PyTorch's (`reference_logits`)."""
    model = get_model(spec)
    folded, params = fold(model, *load_arrays(weights, model))
    # TF32, JAX's default on GPUs, would be measured instead of the conversion.
    with jax.default_matmul_precision("highest"):
        # np.asarray waits: the activations of one batch at a time.
        ours = np.concatenate([np.asarray(_logits(folded, params, batch)) for batch in verification_batches(spec)])
    difference = float(np.abs(ours.astype(np.float64) - theirs).max())
    agreement = float((ours.argmax(1) == theirs.argmax(1)).mean())
    relative = difference / max(float(np.abs(theirs).max()), float(np.finfo(np.float32).tiny))
    return Verification(VERIFICATION_IMAGES, difference, relative, agreement)


@functools.partial(jax.jit, static_argnums=0)  # compiled once for all teachers of an architecture
def _logits(model: Model, params: Variables, images: jax.Array) -> jax.Array:
    return model.apply(params, {}, images)[0]


def verification_batches(spec: ModelSpec) -> list[np.ndarray]:
    """Random images, seed 0, a few at a time: activations should not outweigh the weights. NHWC float32."""
    shape = (VERIFICATION_IMAGES, spec.image_size, spec.image_size, spec.channels)
    images = np.random.default_rng(0).standard_normal(shape, np.float32)
    return np.split(images, VERIFICATION_IMAGES // VERIFICATION_BATCH)


def reference_logits(reference: torch.nn.Module, spec: ModelSpec) -> np.ndarray:
    """PyTorch's logits [VERIFICATION_IMAGES, classes], in eval mode."""
    with torch.inference_mode():
        nchw = (torch.from_numpy(batch.transpose(0, 3, 1, 2).copy()) for batch in verification_batches(spec))
        return np.concatenate([reference.eval()(batch).numpy() for batch in nchw])


def make_reference(family: Family, spec: ModelSpec, state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The PyTorch module with these weights, in float32."""
    with torch.device("meta"):  # no memory for weights that are replaced
        module = family.reference(spec)
    widened = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    module.load_state_dict(widened, strict=True, assign=True)
    return module


def convert_teacher(
    source: Path,
    *,
    dataset: str,
    model: str,
    out: Path,
    norm: str | None = None,
    image_size: int | None = None,
    normalisation: Normalisation | None = None,
    ema: bool = False,
    key: str | None = None,
    rows: Sequence[int] | None = None,
) -> TeacherInfo:
    """Convert, verify against PyTorch and write a teacher directory; print what was found.

    Args: image_size, in pixels; ema, take the averaged weights that the trainer kept beside the last ones; key, of the
    state dict, where several fit; rows, of the head, one a class of the dataset.
    Raises: GiftError if the file does not fit, or if logits differ by more than 1e-4 of the largest one.
    """
    family, data = find_family(model), get_dataset(dataset)
    model = ALIASES.get(model, model)
    options = (("norm", norm),) if norm else ()
    if normalisation and len(normalisation.mean) != data.channels:
        raise GiftError(
            f"--mean and --std have {len(normalisation.mean)} values, but {dataset} has {data.channels} channels; "
            "give one a channel"
        )
    requested = ModelSpec(model, data.num_classes, image_size or data.input_size(model), data.channels, options)
    read = read_checkpoint(source, requested, family, ema=ema, key=key, rows=rows)
    spec, params, batch_stats, state, key = read
    averaged = ema or read.averaged
    del read
    with blamed_on(source):
        theirs = reference_logits(make_reference(family, spec, state), spec)
    if not np.isfinite(theirs).all():
        raise GiftError(
            f"{source}: PyTorch's logits with these weights are not finite; the file is damaged, save it again"
        )
    counted = batches_tracked(state)
    del state  # one copy of the weights makes room for the next
    count = sum(array.size for array in jax.tree.leaves(params))
    with new_teacher(out) as directory:
        save_arrays(directory / WEIGHTS, params, batch_stats)
        del params, batch_stats
        verification = verify(directory / WEIGHTS, spec, theirs)
        if not verification.max_relative <= TOLERANCE:
            raise GiftError(
                f"{source}: converted logits differ from PyTorch's by {verification.max_relative:.1e} of the largest "
                f"one, more than {TOLERANCE:.0e}; nothing was written, please report this file"
            )
        info = TeacherInfo(
            architecture=spec.name,
            dataset=dataset,
            num_classes=spec.num_classes,
            image_size=spec.image_size,
            channels=spec.channels,
            options=dict(spec.options),
            normalisation=normalisation or data.normalisation,
            source_file=source.name,
            source_sha256=sha256(source),
            ema=averaged,
            batches_tracked=counted,
            verification=verification,
            versions={
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in PACKAGES},
            },
        )
        write_info(directory, info)
    print(_summary(info, key, verification, count, out))
    return info


def _summary(info: TeacherInfo, key: str, check: Verification, count: int, out: Path) -> str:
    options = "".join(f", {name} {value}" for name, value in info.options.items())
    place = f", its {shown(key)}" * bool(key) + ", averaged weights" * info.ema
    return (
        f"teacher   {info.architecture} of {info.dataset}: {count:,} parameters, {info.num_classes} classes, "
        f"{info.image_size} pixels{options}\n"
        f"source    {info.source_file}{place}, SHA-256 {info.source_sha256[:16]}...\n"
        f"verified  on {check.images} random images against PyTorch: largest logit difference {check.max_absolute:.1e} "
        f"({check.max_relative:.1e} relative), top-1 agreement {100 * check.top1_agreement:.0f} %\n"
        f"written   {out}"
    )
