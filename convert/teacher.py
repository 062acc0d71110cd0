"""`python -m convert teacher`: a PyTorch checkpoint becomes a verified teacher directory."""

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import torch

from gift_jax.data.datasets import DatasetSpec, get_dataset, known_spelling
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec, fold, get_model
from gift_jax.readers import hub
from gift_jax.runtime import provenance
from gift_jax.runtime.files import read_json_object, refuse_to_replace, sha256
from gift_jax.teachers import teacher as teachers

from .checkpoint import blamed_on, is_averaged, read_checkpoint
from .families import ASSUMPTIONS, Family, find_family, official_name
from .hub.config import Described, find_weights, read_config
from .request import TeacherRequest, given_normalisation
from .rules import batches_tracked, shown

VERIFICATION_IMAGES, VERIFICATION_BATCH = 16, 2
# float32 sums in another order differ by about 1e-6 of the largest logit; a wrong layout by about 1.
TOLERANCE = 1e-4


def verify(weights: Path, spec: ModelSpec, theirs: np.ndarray) -> teachers.Verification:
    """Compare the logits of weights as they were written, BatchNorm folded, with PyTorch's (`reference_logits`)."""
    model = get_model(spec)
    folded, params = fold(model, *teachers.load_arrays(weights, model))
    # TF32, JAX's default on GPUs, would be measured instead of the conversion.
    with jax.default_matmul_precision("highest"):
        # np.asarray waits: the activations of one batch at a time.
        ours = np.concatenate(
            [np.asarray(teachers.network_logits(folded, params, batch)) for batch in verification_batches(spec)]
        )
    difference = float(np.abs(ours.astype(np.float64) - theirs).max())
    agreement = float((ours.argmax(1) == theirs.argmax(1)).mean())
    relative = difference / max(float(np.abs(theirs).max()), float(np.finfo(np.float32).tiny))
    return teachers.Verification(VERIFICATION_IMAGES, difference, relative, agreement)


def verification_batches(spec: ModelSpec) -> list[np.ndarray]:
    """Random images, seed 0, a few at a time: activations should not outweigh the weights. NHWC float32."""
    shape = (VERIFICATION_IMAGES, spec.image_size, spec.image_size, spec.channels)
    images = np.random.default_rng(0).standard_normal(shape, np.float32)
    return np.split(images, VERIFICATION_IMAGES // VERIFICATION_BATCH)


def reference_logits(module: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """PyTorch's logits [B, classes] in eval mode. Args: images, float32 [B, H, W, C], normalised."""
    with torch.inference_mode():
        return module.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()


def make_reference(family: Family, spec: ModelSpec, state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The PyTorch module with these weights, in float32."""
    with torch.device("meta"):  # no memory for weights that are replaced
        module = family.reference(spec)
    widened = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    module.load_state_dict(widened, strict=True, assign=True)
    return module


def convert_teacher(request: TeacherRequest) -> teachers.TeacherInfo:
    """Convert, verify against PyTorch and write a teacher directory; print what was found."""
    source, out = find_weights(hub.local(request.source, "teacher")), request.out
    _check_place(out, source)
    told = read_config(source, request.image_size)
    dataset, named = _dataset(source, request.dataset, told), _model(source, request.model, told)
    family, data, model = find_family(named), get_dataset(dataset), official_name(named)
    norm, normalisation = request.norm or told.norm, given_normalisation(request.mean, request.std)
    options = (("norm", norm),) if norm else ()
    if request.rows is None:
        _check_order(source, told, data)
    if normalisation and len(normalisation.mean) != data.channels:
        raise GiftError(
            f"--mean and --std have {len(normalisation.mean)} values, but {dataset} has {data.channels} channels; "
            "give one a channel"
        )
    size = request.image_size or told.image_size or data.input_size(model)
    requested = ModelSpec(model, data.num_classes, size, data.channels, options)
    known = normalisation is not None
    spec, params, batch_stats, state, key, layer = read_checkpoint(
        source, requested, family, ema=request.ema, key=request.key, rows=request.rows, normalised=known
    )
    normalisation = normalisation or layer or told.normalisation or data.normalisation
    _check_sizes(source, told, spec, chosen=request.rows is not None)
    averaged = request.ema or is_averaged(key) or told.ema
    with blamed_on(source):
        reference = make_reference(family, spec, state)
        theirs = np.concatenate([reference_logits(reference, batch) for batch in verification_batches(spec)])
    if not np.isfinite(theirs).all():
        raise GiftError(f"{source}: PyTorch's logits with these weights are not finite; save the file again")
    counted = batches_tracked(state)
    del state, reference  # one copy of the weights makes room for the next
    count = sum(array.size for array in jax.tree.leaves(params))
    done = "exists " if out.exists() else "written"
    with teachers.new_teacher(out, keep=teachers.same_teacher) as directory:
        teachers.save_arrays(directory / teachers.WEIGHTS, params, batch_stats)
        del params, batch_stats
        verification = verify(directory / teachers.WEIGHTS, spec, theirs)
        if not verification.max_relative <= TOLERANCE:
            raise GiftError(
                f"{source}: converted logits differ from PyTorch's by {verification.max_relative:.1e} of the largest "
                f"one, more than {TOLERANCE:.0e}; nothing was written, please report this file"
            )
        info = teachers.TeacherInfo.of(
            spec,
            dataset=dataset,
            normalisation=normalisation,
            source_file=hub.title(source),
            source_sha256=sha256(source),
            ema=averaged,
            batches_tracked=counted,
            preprocessing=told.preprocessing,
            verification=verification,
            versions={**provenance.versions(), "torch": torch.__version__},
        )
        teachers.write_info(directory, info)
    summary = _summary(info, key, verification, count, layer=layer is not None)
    print(f"{summary}{done:<10}{out}")
    return info


def _check_place(out: Path, source: Path) -> None:
    """Raises: GiftError if a teacher of another file is there; one that is damaged may be made again."""
    place = out / teachers.INFO
    if place.is_file() and read_json_object(place).get("source_sha256", digest := sha256(source)) != digest:
        refuse_to_replace(out)


def _dataset(source: Path, given: str | None, told: Described) -> str:
    given = given and known_spelling(given)
    if given and told.dataset and given != told.dataset:
        raise GiftError(f"{source}: was trained on {told.dataset}, as its {told.by} says, but --dataset is {given}")
    if found := given or told.dataset:
        return found
    raise GiftError(f"{source}: does not tell what it was trained on; give --dataset")


def _model(source: Path, given: str | None, told: Described) -> str:
    # CIFAR's stem, with which a ResNet is a `_modified` one, has no place in timm's configuration; the weights tell it.
    plain = {official_name(name).removesuffix("_modified") for name in (given, told.architecture) if name}
    if len(plain) > 1:
        raise GiftError(f"{source}: is a {told.architecture}, as its {told.by} says, but --model is {given}; drop it")
    if given and (given.endswith("_modified") or not told.architecture):
        return given
    if told.architecture:
        return told.architecture
    raise GiftError(f"{source}: does not tell its architecture; give --model")


def _check_sizes(source: Path, told: Described, spec: ModelSpec, *, chosen: bool) -> None:
    """Raises: GiftError if weights are told to be of other sizes. Args: chosen, whether some classes were."""
    classes = None if chosen else told.classes
    for what, said, found in (("classes", classes, spec.num_classes), ("channels", told.channels, spec.channels)):
        if said not in (None, found):
            raise GiftError(
                f"{source}: its {told.by} tells of {said} {what}, its weights have {found}; correct it there"
            )


def _check_order(source: Path, told: Described, data: DatasetSpec) -> None:
    """Compare class names with the dataset's, where both are known. Raises: GiftError if their order is another one."""
    names, known = told.names, data.class_names
    if names != known and sorted(names) == sorted(known):
        rows = " ".join(str(names.index(name)) for name in known)
        raise GiftError(f"{source}: {told.by} has the classes of {data.name} in another order; give --rows {rows}")
    moved = [pair for pair in zip(names, known, strict=False) if pair[0] != pair[1] and pair[0] in known]
    if moved and len(names) == len(known):
        name, other = moved[0]
        raise GiftError(
            f"{source}: {told.by} has the class {name} where {data.name} has {other}; correct its label_names"
        )


def _summary(info: teachers.TeacherInfo, key: str, check: teachers.Verification, count: int, *, layer: bool) -> str:
    options = "".join(f", {name} {value}" for name, value in info.options.items())
    assumed = f"assumed   {ASSUMPTIONS[info.architecture]}\n" if info.architecture in ASSUMPTIONS else ""
    place = f", its {shown(key)}" * bool(key) + ", averaged weights" * info.ema
    own = info.preprocessing
    mean, std = info.normalisation.mean, info.normalisation.std
    normalised = f"images    normalised by mean {mean}, std {std}, as by the layer in the file\n" * layer
    tested = f"tested    on images at crop_pct {own.crop_pct:g}, {own.interpolation}, says config.json\n" if own else ""
    return (
        f"teacher   {info.architecture} of {info.dataset}: {count:,} parameters, {info.num_classes} classes, "
        f"{info.image_size} pixels{options}\n"
        f"source    {info.source_file}{place}, SHA-256 {info.source_sha256[:16]}...\n"
        f"verified  on {check.images} random images against PyTorch: largest logit difference {check.max_absolute:.1e} "
        f"({check.max_relative:.1e} relative), top-1 agreement {100 * check.top1_agreement:.0f} %\n"
        f"{normalised}{tested}{assumed}"
    )
