"""Where teachers, distilled sets and evaluation sets are found, and conversion of what is not converted yet.

The official layout is understood: `syn_data/METHOD/DATASET_MODEL/ipcN/`, `data/pretrain_models/DATASET_MODEL.pth`,
`data/DATASET/val/`. What is converted goes to a cache and is made once.
"""

import hashlib
import importlib.util
import itertools
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from gift_jax import DistilledSet, GiftError, Teacher, load_distilled, load_teacher
from gift_jax.data.datasets import DATASETS, DIRECTORY, FILE, get_dataset
from gift_jax.data.distilled import told_by_file
from gift_jax.data.evaluation import DIGITS
from gift_jax.readers import hub
from gift_jax.runtime.cli import NO_TORCH, with_installed_command_names
from gift_jax.runtime.files import cache_directory, file_state, files_below, os_errors_as_gift_error
from gift_jax.runtime.options import Choices
from gift_jax.teachers.published import RDED, ZOO
from gift_jax.teachers.teacher import INFO

# The package beside this one: `convert` in a checkout, `gift_jax.convert` in a wheel.
CONVERT = f"{(__package__ or '').removesuffix('experiments.common')}convert"

# Where each method's sets are published; `_MIRROR` has some of ImageNet-1K besides, and of a method that is not here.
_DC = "its authors' are linked from https://github.com/VICO-UoE/DatasetCondensation"
_DRIVE = "its authors' are on Google Drive, linked from"
SETS: Mapping[str, str] = {
    "sre2l": "its authors' are on https://huggingface.co/zeyuanyin/SRe2L",
    "cda": "its authors' are on https://huggingface.co/zeyuanyin/SRe2L/tree/main/cda",
    "rded": "its authors release none",
    "datm": f"{_DRIVE} https://github.com/NUS-HPC-AI-Lab/DATM",
    "gvbsm": "its authors' are on Baidu Pan, linked from https://github.com/shaoshitong/G_VBSM_Dataset_Condensation",
    "lpld": f"{_DRIVE} https://github.com/he-y/soft-label-pruning-for-dataset-distillation",
    "dwa": "",
    "dc": _DC,
    "dsa": _DC,
    "dm": _DC,
    "mtt": "its authors' are linked from https://github.com/GeorgeCazenavette/mtt-distillation",
    "pad": "its authors release none, their code logs them: https://github.com/NUS-HPC-AI-Lab/PAD",
    "idc": f"{_DRIVE} https://github.com/snu-mllab/Efficient-Dataset-Condensation",
    "dream": "its authors release none, their code saves them: https://github.com/lyq312318224/DREAM",
    "cim": "its authors release none, their code makes one: https://github.com/LINs-lab/CIM",
    "ncfm": "its authors' are on https://huggingface.co/maomaocun/NCFM",
    "minimax": f"{_DRIVE} https://github.com/vimar-gu/MinimaxDiffusion",
    "d3hr": "its authors' are on https://huggingface.co/datasets/lin-zhao-resoLve/D3HR",
    "cao2": f"{_DRIVE} https://github.com/hatchetProject/CaO2",
    "wmdd": f"{_DRIVE} https://github.com/Liu-Hy/WMDD",
    "delt": f"{_DRIVE} https://github.com/VILA-Lab/DELT",
    "cvdd": f"{_DRIVE} https://github.com/Jiacheng8/CV-DD",
}
_MIRROR = "hf://he-yang/2025-rethinkdc-imagenet-{}-ipc-{} has one"
_MIRRORED, _MIRRORED_IPC = frozenset({"sre2l", "cda", "rded", "gvbsm", "lpld", "dwa"}), (10, 50, 100)
Method = Annotated[str, Choices(f"{__name__}:SETS", has_others=True)]
Split = Literal["train", "val"]
SUFFIXES = (".pth", ".pt", ".th", ".safetensors")


def run_convert(*arguments: str) -> None:
    """Run `python -m convert ...` in a process of its own, where PyTorch lives. Raises: GiftError if that fails."""
    if not importlib.util.find_spec("torch"):
        raise GiftError(NO_TORCH)
    print(with_installed_command_names(f"$ python -m convert {' '.join(arguments)}"), flush=True)
    if subprocess.run([sys.executable, "-m", CONVERT, *arguments], check=False).returncode:
        raise GiftError(f"`python -m convert {arguments[0]}` failed; its message above says how to mend that")


def convert_once(command: str, source: Path, options: Sequence[str], name: str) -> Path:
    """The result of converting source, in the cache: made unless it is there, of this source, options and dataset."""
    with os_errors_as_gift_error(source):
        files = files_below(source) if source.is_dir() else [source]
        state = [(path.as_posix(), *file_state(path)) for path in files]
    asked = dict(itertools.pairwise(options))
    described = get_dataset(asked["--dataset"]) if "--dataset" in asked else None
    decides = (source.resolve().as_posix(), state, tuple(options), described)
    key = hashlib.sha256(repr(decides).encode()).hexdigest()[:16]
    out = cache_directory("converted") / key / name
    if out.exists():
        print(f"converted before: {source} -> {out}")
    else:
        run_convert(command, str(source), *options, "--out", str(out))
    return out


def teacher_directory(path: Path, dataset: str | None = None) -> Path:
    """A teacher's directory, one of the Hub converted once. Args: dataset, where its config.json does not tell it."""
    path = hub.local(path, "teacher")
    if (path / INFO).is_file() or not (path / hub.CONFIG).is_file():
        return path
    return convert_once("teacher", path, ("--dataset", dataset) if dataset else (), path.name)


def find_teacher(path: Path, dataset: str, model: str) -> Teacher:
    """Load a teacher: converted, a checkpoint, one of the Hub, or a directory of them under their official names.

    Raises: GiftError that says what is missing, where it is published and what to run.
    """
    path = hub.local(path, "teacher")
    if path.is_file() and told_by_file(path):
        raise GiftError(f"{path}: is a distilled set; give it as `distilled`, and a teacher as `teacher`")
    name = f"{dataset}_{model}"
    names = dict.fromkeys((name, ZOO[name].file_name if name in ZOO else name))
    places = [path, path / name, *(path / (stem + suffix) for stem in names for suffix in SUFFIXES)]
    for place in places:
        if (place / INFO).is_file():
            return load_teacher(place)
        if place.is_file() or (place / hub.CONFIG).is_file():
            return load_teacher(convert_once("teacher", place, ("--dataset", dataset, "--model", model), name))
    wanted = " or ".join(f"{stem}.pth" for stem in names)
    options = f"--dataset {dataset} --model {model}"
    mend = f"give `teacher`, or make one: `python -m experiments.train_teacher {options} --out teachers/{name}`"
    if dataset in DATASETS:
        where = f"it is published on {ZOO[name].where if name in ZOO else RDED}"
        mend = f"{where}; run `python -m convert teacher FILE {options} --out {path / name}`"
    raise GiftError(f"{path}: holds no teacher {model} of {dataset} ({wanted}, or a directory {name}); {mend}")


def published(method: str, dataset: str, ipc: int) -> str:
    """Where such a set is published, as far as is known; "" if it is not."""
    mirrored = dataset == "imagenet-1k" and method in _MIRRORED and ipc in _MIRRORED_IPC
    places = (SETS.get(method, ""), _MIRROR.format(method, ipc) if mirrored else "")
    return ", ".join(filter(None, places))


def find_distilled(path: Path, method: str, dataset: str, model: str, ipc: int) -> DistilledSet:
    """Load a distilled set: converted, a release, one of the Hub, or a directory of them in the official layout.

    Raises: GiftError that says what is missing and what to run, or that the set is another one.
    """
    path = hub.local(path, "set")
    if (path / INFO).is_file():
        raise GiftError(f"{path}: is a teacher; give it as `teacher`, and a distilled set as `distilled`")
    official = path / method / f"{dataset}_{model}" / f"ipc{ipc}"
    source = official if official.is_dir() else path
    converted = [source] if source.is_file() else sorted(source.glob("*.safetensors"))
    options = ("--method", method, "--dataset", dataset, "--ipc", str(ipc))
    if not source.exists() or (source == path and any(path.glob("*/*/ipc*"))):
        where = (place := published(method, dataset, ipc)) and f" ({place})"
        command = " ".join(("convert distilled RELEASE", *options))
        if method == "rded":
            command = f"experiments.distill_rded --teacher TEACHER --ipc {ipc}"
        mend = f"give `distilled`, or run `python -m {command} --out {official / 'set.safetensors'}`"
        raise GiftError(f"{official}: no {method} set of {dataset} with {ipc} images per class here{where}; {mend}")
    if len(converted) != 1 or converted[0].suffix != ".safetensors":
        converted = [convert_once("distilled", source, options, "set.safetensors")]
    distilled = load_distilled(converted[0])
    if text := misfit(distilled, method, dataset, ipc):
        raise GiftError(f"{source}: {text}, or another `distilled`")
    return distilled


def misfit(distilled: DistilledSet, method: str, dataset: str, ipc: int) -> str:
    """How a set differs from what options say, in the first of them that does, and what fits it; "" if it fits."""
    found = distilled
    texts = {
        f"is a set of {found.dataset}, but `dataset` is {dataset}; give {found.dataset}": found.dataset != dataset,
        f"is a set of the method {found.method}, not {method}; give that method": found.method != method,
        f"holds {found.ipc} images per class, but `ipc` is {ipc}; give `ipc` {found.ipc}": found.ipc != ipc,
    }
    return next((text for text, differs in texts.items() if differs), "")


def find_images(given: str | None, dataset: str, split: Split, option: str) -> str | None:
    """The given source of real images, or the known one; None for the digits. Raises: GiftError on what is missing."""
    if given and dataset == DIGITS:
        raise GiftError(f"{option} {given}: the digits come with scikit-learn; drop it, or give another dataset")
    if (source := known_images(given, dataset, split)) or dataset == DIGITS:
        return source
    kind, spec = "training" if split == "train" else "test", get_dataset(dataset)
    if dataset not in DATASETS:
        again = "--test-data DIRECTORY" if spec.train and split == "val" else "--data DIRECTORY"
        mend = f"give {option} DIRECTORY, or run `python -m experiments.add_dataset {dataset}` again with {again}"
        raise GiftError(f"{DIRECTORY / dataset / FILE}: names no {kind} images of {dataset}; {mend}")
    raise GiftError(
        f"{Path('data') / dataset / split}: the {kind} images of {dataset} are missing ({spec.home}); give {option} "
        f"DIRECTORY of class folders, or {option} tfds for what TensorFlow Datasets has prepared"
    )


def known_images(given: str | None, dataset: str, split: Split) -> str | None:
    """The given source of real images; else what the dataset's description says, or `data/DATASET/SPLIT`, or None."""
    spec, official = get_dataset(dataset), Path("data") / dataset / split
    recorded = spec.train if split == "train" else spec.test
    return given or recorded or (str(official) if official.is_dir() else None)
