"""`config.json` beside a teacher's weights, in timm's form: read, checked and written.

Reference: timm 1.0's `save_for_hf` and `_parse_model_cfg` (`timm/models/_hub.py`). What timm has no key for, such as a
ConvNet's norm, is under the key `gift_jax`.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gift_jax.data.datasets import Normalisation, embedded_description, get_dataset, register_embedded_dataset
from gift_jax.data.transforms import Preprocessing
from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.models import ModelSpec
from gift_jax.readers.hub import CONFIG
from gift_jax.runtime.files import os_errors_as_gift_error, read_json_object
from gift_jax.teachers.teacher import TeacherInfo

from ..families import TIMM, check_arch, find_family, official_name
from ..families.spelling import OFFICIAL, Spelling
from ..torch_file import read_metadata

OURS = "gift_jax"
LARGEST_SIDE = 2048  # pixels
USUAL = "usual_preprocessing"  # whether test images are made as the dataset's usually are
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # as the Hub names them, the safer one first
# Arguments that a network was built with and that change neither its names nor what it computes; sizes are read apart.
_HARMLESS = re.compile(r"num_classes|in_chans|(strict_)?img_size|(\w+_)?drop_rate|pretrained|scriptable|exportable")
_SHARD = re.compile(r"-[0-9]{5}-of-[0-9]{5}\.(safetensors|bin|pt|pth)$")


@dataclasses.dataclass(frozen=True)
class Described:
    """What a config.json tells of the weights beside it; None, or nothing, where it does not.

    architecture: a name of `--model`. image_size: side of the input in pixels. dataset, norm (of a ConvNet) and ema are
    told only by files that this project wrote. names: of the classes, in the order of the outputs. by: what tells it.
    """

    architecture: str | None = None
    image_size: int | None = None
    normalisation: Normalisation | None = None
    preprocessing: Preprocessing | None = None
    dataset: str | None = None
    norm: str | None = None
    ema: bool = False
    names: tuple[str, ...] = ()
    classes: int | None = None
    channels: int | None = None
    by: str = CONFIG


def find_weights(source: Path) -> Path:
    """The file of weights that a directory's config.json is of; anything but such a directory as it is."""
    with os_errors_as_gift_error(source):
        names = [path.name for path in source.iterdir()] if source.is_dir() else [source.name]
    if shards := sorted(filter(_SHARD.search, names)):
        raise GiftError(
            f"{source}: is in shards ({shards[0]}), which are not joined here; load the network where it was trained, "
            "and save its state_dict as one file"
        )
    if not (source / CONFIG).is_file():
        return source
    found = _weights_in(source)
    if len(found) != 1:
        held = f"holds {', '.join(path.name for path in found)}; give one of them"
        missing = f"holds no weights; {WEIGHTS[0]} is missing"
        raise GiftError(f"{source}: has a {CONFIG}, but {held if found else missing}")
    return found[0]


def _weights_in(directory: Path) -> list[Path]:
    """Under the Hub's usual name, or all of them."""
    with os_errors_as_gift_error(directory):
        found = sorted(path for path in directory.iterdir() if path.suffix in (".safetensors", ".bin", ".pth", ".pt"))
    usual = [directory / name for name in WEIGHTS if directory / name in found]
    return usual[:1] or found


def read_config(weights: Path, image_size: int | None = None) -> Described:
    """What the config.json beside weights, or else their metadata, tells of them, if it is of timm's form.

    Args: image_size, that is asked for in place of its own.
    """
    path, by = weights.parent / CONFIG, CONFIG
    if path.is_file() and _weights_in(weights.parent) == [weights]:
        content = read_json_object(path)
    else:
        path, by, content = weights, "metadata", read_metadata(weights)
    architecture = content.get("architecture")
    if architecture is None:
        return Described()
    check_arch(str(path), architecture)
    try:
        with damage_as_gift_error(f"{path}: a field is of another kind than timm writes", "save it again"):
            return dataclasses.replace(_described(path, str(architecture), content, image_size), by=by)
    except GiftError as error:
        raise error if str(error).startswith(str(path)) else GiftError(f"{path}: {error}") from None


def _described(path: Path, architecture: str, content: Mapping[str, Any], image_size: int | None) -> Described:
    find_family(architecture)  # refuses one that is not known
    arguments = {"global_pool": content.get("global_pool"), **(content.get("model_args") or {})}
    pool = _pool(official_name(architecture))
    for name, value in arguments.items():
        if value is not None and (value != pool if name == "global_pool" else not _HARMLESS.fullmatch(name)):
            raise GiftError(
                f"{path}: its {architecture} was built with {name}={value!r}, which computes something else under the "
                f"same names and is not converted; train the plain {architecture}"
            )
    own = content.get("pretrained_cfg") or content  # once, everything was at the top
    channels, size = _input(path, own["input_size"]) if own.get("input_size") else (None, None)
    # As timm does where the weights are tested at another size than they were trained at.
    tested = own.get("test_input_size") and image_size == _input(path, own["test_input_size"])[1]
    share = "test_crop_pct" if tested and own.get("test_crop_pct") else "crop_pct"
    ours, preprocessing = content.get(OURS) or {}, _preprocessing(path, own, share)
    classes, names = _classes(path, content, own, arguments)
    register_embedded_dataset(ours.get("dataset_description"), str(path))
    return Described(
        architecture=architecture,
        image_size=size,
        normalisation=_statistics(path, own),
        preprocessing=None if ours.get(USUAL) is True else preprocessing,
        dataset=_text(ours.get("dataset")),
        norm=_text((ours.get("options") or {}).get("norm")),
        ema=ours.get("ema") is True,
        names=names,
        classes=classes,
        channels=_whole(arguments.get("in_chans")) or channels,
    )


def _pool(architecture: str) -> str:
    return "token" if architecture == "vit_b_16" else "avg"


def _text(value: Any) -> str | None:
    if not isinstance(value, str | None):
        raise TypeError(f"{value!r} is no text")
    return value


def _whole(value: Any) -> int | None:
    if value is not None and type(value) is not int:
        raise TypeError(f"{value!r} is no whole number")
    return value


def _classes(
    path: Path, content: Mapping[str, Any], own: Mapping[str, Any], arguments: Mapping[str, Any]
) -> tuple[int | None, tuple[str, ...]]:
    """How many classes, and their names. As timm has it, pretrained_cfg may be of before tuning."""
    before, count = (_whole(part.get("num_classes")) for part in (own, content))
    count = before if count is None else count
    names = content.get("label_names") or (own.get("label_names") if before == count else None)
    names = tuple(map(str, names)) if isinstance(names, list) else ()
    told = {"num_classes": count, "model_args": _whole(arguments.get("num_classes")), "label_names": len(names) or None}
    if len({number for number in told.values() if number is not None}) > 1:
        found = ", ".join(f"{number} by {name}" for name, number in told.items() if number is not None)
        raise GiftError(f"{path}: contradicts itself in the number of classes ({found}); correct it there")
    return next((number for number in told.values() if number is not None), None), names


def _input(path: Path, size: Any) -> tuple[int, int]:
    """Channels and side."""
    channels, height, width = map(int, size)
    if height != width or not 1 <= height <= LARGEST_SIDE:
        raise GiftError(
            f"{path}: takes images of {height} x {width} pixels; only square ones of up to {LARGEST_SIDE} are converted"
        )
    return channels, height


def _statistics(path: Path, own: Mapping[str, Any]) -> Normalisation | None:
    told = {name: tuple(map(float, own[name])) for name in ("mean", "std") if own.get(name)}
    if len(told) == 1:
        raise GiftError(f"{path}: tells {' '.join(told)} alone; add the other one, or give --mean and --std")
    return Normalisation(**told) if told else None


def _preprocessing(path: Path, own: Mapping[str, Any], share: str) -> Preprocessing | None:
    if (mode := own.get("crop_mode") or "center") != "center":
        raise GiftError(
            f"{path}: its test images are cropped as crop_mode {mode!r}, which is not known here; write center there "
            "if that is near enough"
        )
    if not own.get(share) or not own.get("interpolation"):
        return None
    return Preprocessing(float(own[share]), own["interpolation"])


def written_form(spec: ModelSpec) -> tuple[str, Spelling]:
    """The name and the spelling that a network is written under: timm's where it has the same one, else ours."""
    name, spelling = TIMM.get(spec.name, (spec.name, OFFICIAL))
    return (spec.name, OFFICIAL) if spelling.refusal(spec) else (name, spelling)


def is_timms(spec: ModelSpec) -> bool:
    """Whether a network is written under timm's name, so that timm reads it."""
    return written_form(spec)[0] == TIMM.get(spec.name, (None, None))[0]


def make_config(info: TeacherInfo, classifier: str) -> dict[str, Any]:
    """The config.json of a teacher, which `read_config` reads back. Args: classifier, its last layer's name."""
    name, size = written_form(info.spec)[0], [info.channels, info.image_size, info.image_size]
    resize, names = (data := get_dataset(info.dataset)).resize, data.class_names
    usual = Preprocessing(resize[1] / resize[0] if resize else 1.0, "bilinear")
    own, pool = info.preprocessing or usual, _pool(info.architecture)
    fixed = info.architecture in ("vit_b_16", "swin_v2_t")  # which timm builds for one input size
    sized = {"img_size": size[1:]} if fixed else {}
    return {
        "architecture": name,
        "num_classes": info.num_classes,
        "global_pool": pool,
        **({"label_names": list(names)} if names else {}),
        "model_args": {"num_classes": info.num_classes, "in_chans": info.channels, "global_pool": pool, **sized},
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": size,
            "fixed_input_size": fixed,
            "interpolation": own.interpolation,
            "crop_pct": own.crop_pct,
            "crop_mode": "center",
            "mean": list(info.normalisation.mean),
            "std": list(info.normalisation.std),
            "num_classes": info.num_classes,
            "classifier": classifier,
        },
        OURS: {
            "dataset": info.dataset,
            "dataset_description": embedded_description(info.dataset),
            "options": dict(info.options),
            "ema": info.ema,
            USUAL: info.preprocessing is None,
            "source_file": info.source_file,
            "source_sha256": info.source_sha256,
        },
    }
