"""`python -m convert teacher`: a PyTorch checkpoint becomes a verified teacher directory."""

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import torch

from convert.families import Family, find_family
from convert.rules import Flat, from_torch
from convert.torch_file import load_state, to_numpy
from gift_jax.checkpoint import TeacherInfo, Verification, flatten, save_teacher, unflatten
from gift_jax.data.datasets import Normalisation, get_dataset
from gift_jax.errors import GiftError
from gift_jax.files import sha256
from gift_jax.models import Model, ModelSpec, Variables, fold, get_model

VERIFICATION_IMAGES = 64
# float32 sums in another order differ by about 1e-6 of the largest logit; a wrong layout by about 1.
TOLERANCE = 1e-4
PACKAGES = ("gift-jax", "jax", "flax", "torch", "numpy")


def read_variables(
    path: Path, spec: ModelSpec, family: Family
) -> tuple[ModelSpec, Variables, Variables, Mapping[str, torch.Tensor]]:
    """Read a checkpoint into this library's variables.

    Returns: the spec with the options that the weights tell, params, batch_stats, and PyTorch's state dict
    under the official names. Raises: GiftError if the file and the spec do not fit exactly.
    """
    state = family.normalise_names(load_state(path))
    arrays = to_numpy(path, state)
    spec = family.read_spec(str(path), spec, arrays)
    shapes = dict(zip(("params", "batch_stats"), get_model(spec).abstract(), strict=True))
    flat = from_torch(str(path), arrays, family.rules(spec), {group: flatten(tree) for group, tree in shapes.items()})
    _check_variances(path, flat)
    params, batch_stats = (unflatten(flat[group], shapes[group]) for group in ("params", "batch_stats"))
    return spec, params, batch_stats, state


def _check_variances(path: Path, flat: Flat) -> None:
    for name, array in flat["batch_stats"].items():
        if name.endswith("/var") and (array < 0).any():
            raise GiftError(f"{path}: {name} holds negative variances; the file is damaged, save it again")


def verify(model: Model, params: Variables, batch_stats: Variables, reference: torch.nn.Module) -> Verification:
    """Compare the folded network's logits with PyTorch's on random images, seed 0."""
    images = np.random.default_rng(0).normal(size=(VERIFICATION_IMAGES, *model.input_shape)).astype(np.float32)
    with torch.inference_mode():
        theirs = reference.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    folded, folded_params = fold(model, params, batch_stats)
    # TF32, JAX's default on GPUs, would be measured instead of the conversion.
    with jax.default_matmul_precision("highest"):
        ours = np.asarray(jax.jit(folded.apply)(folded_params, {}, images)[0])
    difference = float(np.abs(ours - theirs).max())
    agreement = float((ours.argmax(1) == theirs.argmax(1)).mean())
    relative = difference / max(float(np.abs(theirs).max()), float(np.finfo(np.float32).tiny))
    return Verification(VERIFICATION_IMAGES, difference, relative, agreement)


def make_reference(family: Family, spec: ModelSpec, state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The PyTorch module with these weights, in float32."""
    module = family.reference(spec)
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
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
) -> TeacherInfo:
    """Convert, verify against PyTorch and write a teacher directory; print what was found.

    Raises: GiftError if the file does not fit, or if logits differ by more than 1e-4 of the largest one.
    """
    family, data = find_family(model), get_dataset(dataset)
    options = (("norm", norm),) if norm else ()
    if normalisation and len(normalisation.mean) != data.channels:
        raise GiftError(
            f"--mean and --std have {len(normalisation.mean)} values, but {dataset} has {data.channels} channels; "
            "give one a channel"
        )
    requested = ModelSpec(model, data.num_classes, image_size or data.input_size(model), data.channels, options)
    spec, params, batch_stats, state = read_variables(source, requested, family)
    verification = verify(get_model(spec), params, batch_stats, make_reference(family, spec, state))
    if not verification.max_relative <= TOLERANCE:
        raise GiftError(
            f"{source}: converted logits differ from PyTorch's by {verification.max_relative:.1e} of the largest one, "
            f"more than {TOLERANCE:.0e}; nothing was written, please report this file"
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
        verification=verification,
        versions={"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}},
    )
    save_teacher(out, info, params, batch_stats)
    print(_summary(info, params, out))
    return info


def _summary(info: TeacherInfo, params: Variables, out: Path) -> str:
    count = sum(array.size for array in jax.tree.leaves(params))
    options = "".join(f", {name} {value}" for name, value in info.options.items())
    check = info.verification
    return (
        f"teacher   {info.architecture} of {info.dataset}: {count:,} parameters, {info.num_classes} classes, "
        f"{info.image_size} pixels{options}\n"
        f"source    {info.source_file}, SHA-256 {info.source_sha256[:16]}...\n"
        f"verified  on {check.images} random images against PyTorch: largest logit difference {check.max_absolute:.1e} "
        f"({check.max_relative:.1e} relative), top-1 agreement {100 * check.top1_agreement:.0f} %\n"
        f"written   {out}"
    )
