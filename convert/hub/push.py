"""`python -m convert push`: a set or a teacher becomes a directory that can be uploaded to the Hub as it is."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gift_jax.data.datasets import CONVNETS
from gift_jax.data.distilled import DistilledSet, load_distilled, to_parts
from gift_jax.errors import GiftError
from gift_jax.models import ModelSpec
from gift_jax.readers.hub import CONFIG
from gift_jax.runtime.files import atomic_write, os_errors_as_gift_error, sha256, write_text
from gift_jax.teachers.teacher import INFO, TeacherInfo, flatten, load_weights

from ..distilled.shards import PIXELS, write_shards
from ..families import find_family
from ..rules import to_torch
from ..torch_file import save_state
from .config import WEIGHTS, is_timms, make_config, written_form

# ---- cards ---------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """What a repository is going to be called, OWNER/NAME, and its licence in the Hub's words."""

    repo: str
    licence: str

    @property
    def name(self) -> str:
        """Without the owner."""
        return self.repo.rpartition("/")[2]


def _card(
    entry: Entry,
    lead: str,
    *,
    header: Mapping[str, Any],
    sheet: Mapping[str, object],
    provenance: Mapping[str, object],
    usage: Sequence[tuple[str, str, str]],
) -> str:
    """The card in Markdown: the Hub's fields, two tables, and examples, each a title, a language and code."""
    # JSON is YAML, too, and quotes what needs it.
    fields = {"license": entry.licence, **header}.items()
    head = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields)
    tables = (
        "\n".join(["| | |", "| --- | --- |", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items())])
        for rows in ({**sheet, "Licence": entry.licence}, provenance)
    )
    examples = "\n\n".join(f"{title}\n\n```{language}\n{code}\n```" for title, language, code in usage)
    about = "\n\n## Provenance\n\n".join(tables)
    return f"---\n{head}\n---\n\n# {entry.name}\n\n{lead}\n\n{about}\n\n## Use\n\n{examples}\n"


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())


# ---- sets ----------------------------------------------------------------------------------------------
FOLDER = "data"
_SIZES = {"n<1K": 1e3, "1K<n<10K": 1e4, "10K<n<100K": 1e5, "100K<n<1M": 1e6, "1M<n<10M": 1e7}  # the Hub's words
_IMPORTS = "import numpy as np\nimport torch\nfrom datasets import load_dataset\n\n"
_BYTES = """data = load_dataset("{repo}", split="train")
images = torch.from_numpy(np.stack([*data["image"]])).reshape(-1, {shape})  # uint8 [N, H, W, C]
labels = torch.tensor([*data["label"]])"""
_FLOATS = """data = load_dataset("{repo}", split="train").with_format("numpy")
images = torch.from_numpy(np.stack([*data["pixels"]])).reshape(-1, {shape})  # float32 [N, H, W, C], {space}
labels = torch.tensor([*data["label"]])  # `preview` shows the images with 8 bits: do not train on it"""


def _write_set(source: Path, directory: Path, entry: Entry) -> tuple[str, str]:
    distilled = load_distilled(source)
    with os_errors_as_gift_error(directory):
        (directory / FOLDER).mkdir()
    shards = write_shards(directory / FOLDER, distilled)
    summary = f"{len(distilled.labels)} {distilled.pixel_space} images, {shards} shard{'s' * (shards != 1)}"
    return _card_of_set(distilled, entry), summary


def _card_of_set(distilled: DistilledSet, entry: Entry) -> str:
    images, count = distilled.images, len(distilled.labels)
    counts = np.bincount(distilled.labels, minlength=distilled.num_classes)
    each = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    height, width, channels = distilled.image_shape
    exact = "PNG in `image`" if images.dtype == np.uint8 else f"float32 in `{PIXELS}`; `preview` is for the eye alone"
    method, dataset, statistics = distilled.method, distilled.dataset, distilled.normalisation
    example = _IMPORTS + (_BYTES if images.dtype == np.uint8 else _FLOATS)
    shape = f"{height}, {width}, {channels}"
    command = (
        f"python -m convert distilled hf://{entry.repo} --method {method} --dataset {dataset} "
        f"--out {entry.name}.safetensors"
    )
    return _card(
        entry,
        f"{dataset}, distilled by {method} to {count:,} images.",
        header={
            "task_categories": ["image-classification"],
            "size_categories": [next((words for words, limit in _SIZES.items() if count < limit), "10M<n<100M")],
            "tags": ["dataset-distillation", "gift_jax"],
            "configs": [
                {"config_name": "default", "data_files": [{"split": "train", "path": f"{FOLDER}/train-*.parquet"}]}
            ],
        },
        sheet={
            "Method": method,
            "Distilled dataset": dataset,
            "Images": f"{count:,}: {each} of each of {distilled.num_classes} classes",
            **({} if distilled.classes is None else {"Classes of the dataset": ", ".join(map(str, distilled.classes))}),
            "Size": f"{height} x {width} pixels, channels: {channels}",
            "Pixels": f"{distilled.pixel_space}, {exact}",
            **({"Normalised by": f"mean {statistics.mean}, standard deviation {statistics.std}"} if statistics else {}),
            "Soft labels": "none" if distilled.soft_labels is None else "logits, float32 in `soft_labels`",
            "Digest": f"SHA-256 {to_parts(distilled).digest} of images, labels and metadata, as gift_jax checks it",
        },
        provenance=distilled.provenance or {"Source": "not recorded"},
        usage=[
            ("With gift_jax, which checks the digest:", "bash", command),
            ("In PyTorch:", "python", example.format(repo=entry.repo, shape=shape, space=distilled.pixel_space)),
        ],
    )


# ---- teachers ------------------------------------------------------------------------------------------
_WEIGHTS, *_ = WEIGHTS
_TIMM = """import timm

model = timm.create_model("hf-hub:{repo}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))"""
_PLAIN = """from huggingface_hub import hf_hub_download
from safetensors.torch import load_file

# Of {names}.
state = load_file(hf_hub_download("{repo}", "{weights}"))
# It takes (x / 255 - mean) / std, channels first, with mean = {mean} and std = {std}."""


def _write_teacher(source: Path, directory: Path, entry: Entry) -> tuple[str, str]:
    info, params, batch_stats = load_weights(source)
    family, (name, spelling) = find_family(info.architecture), written_form(info.spec)
    flat = {"params": flatten(params), "batch_stats": flatten(batch_stats)}
    official = to_torch(jax.tree.map(np.asarray, flat), family.rules(info.spec), batches_tracked=info.batches_tracked)
    [classifier] = spelling.back({f"{family.head}.weight": official[f"{family.head}.weight"]})
    save_state(directory / _WEIGHTS, spelling.back(official))
    config = make_config(info, classifier.removesuffix(".weight"))
    write_text(directory / CONFIG, json.dumps(config, indent=2) + "\n")
    count = sum(array.size for array in jax.tree.leaves(params))
    card = _card_of_teacher(info, config, entry, f"{count:,}", sha256(directory / _WEIGHTS))
    return card, f"{name} of {info.dataset}, {count:,} parameters, named as {_owner(info.spec)}"


def _owner(spec: ModelSpec) -> str:
    if is_timms(spec):
        return f"timm's {written_form(spec)[0]}"
    if spec.name in CONVNETS:
        return "the ConvNet of RDED's code"
    stem = ", with RDED's stem: a 3 x 3 conv1 and no maxpool" if spec.name.endswith("_modified") else ""
    return f"torchvision's {spec.name.removesuffix('_modified')}{stem}"


def _card_of_teacher(info: TeacherInfo, config: Mapping[str, Any], entry: Entry, count: str, digest: str) -> str:
    name, own, timm = config["architecture"], config["pretrained_cfg"], is_timms(info.spec)
    checked = info.verification and f"largest difference {info.verification.max_relative:.1e} of the largest logit"
    mean, std = info.normalisation.mean, info.normalisation.std
    plain = _PLAIN.format(repo=entry.repo, weights=_WEIGHTS, names=_owner(info.spec), mean=mean, std=std)
    usual = f", as is usual for {info.dataset}" if info.preprocessing is None else ""
    return _card(
        entry,
        f"{name} trained on {info.dataset}: a teacher for students of distilled datasets.",
        header={
            **({"library_name": "timm"} if timm else {}),
            "pipeline_tag": "image-classification",
            "tags": ["dataset-distillation", "knowledge-distillation", "gift_jax", *(["timm"] if timm else [])],
        },
        sheet={
            "Architecture": ", ".join([name, *(f"{option} {value}" for option, value in info.options.items())]),
            "Parameters": count,
            "Dataset": f"{info.dataset}, {info.num_classes} classes",
            "Input": f"{info.image_size} x {info.image_size} pixels, channels: {info.channels}",
            "Mean, standard deviation": f"{', '.join(map(str, mean))}; {', '.join(map(str, std))}",
            "Test images": f"crop_pct {own['crop_pct']:g}, {own['interpolation']}{usual}",
            "Weights": f"{_WEIGHTS}, SHA-256 {digest}",
        },
        provenance={
            "Source": info.source_file,
            "SHA-256 of the source": info.source_sha256,
            "Weights averaged in training": "yes" if info.ema else "no",
            **({"Logits beside PyTorch's": checked} if checked else {}),
            "Versions": ", ".join(f"{package} {version}" for package, version in sorted(info.versions.items())),
        },
        usage=[
            ("With gift_jax:", "bash", f"python -m convert teacher hf://{entry.repo} --out teachers/{entry.name}"),
            *([("With timm:", "python", _TIMM.format(repo=entry.repo))] if timm else []),
            ("The weights in PyTorch:", "python", plain),
        ],
    )


# ---- both -----------------------------------------------------------------------------------------------
CARD = "README.md"


def push(source: Path, out: Path, *, repo: str, licence: str) -> None:
    """Write a set or a teacher as a repository's directory, whole or not at all, and say how it is uploaded.

    Args: source, a distilled set's file or a teacher's directory; repo, OWNER/NAME on the Hub; licence, as the Hub
    spells it. Raises: GiftError if source is neither, or out exists.
    """
    if out.exists():
        raise GiftError(f"{out}: exists, and is not replaced; give another --out, or remove it yourself")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII):
        raise GiftError(f"--repo is {repo!r}, expected OWNER/NAME")
    if not re.fullmatch(r"[\w.+-]+", licence, re.ASCII):
        raise GiftError(f"--license is {licence!r}, expected one of the Hub's words, such as mit or cc-by-4.0")
    if source.is_dir() and not (source / INFO).is_file():
        raise GiftError(f"{source}: is no teacher ({INFO} is missing); give one, or a distilled set's file")
    kind, write = ("model", _write_teacher) if source.is_dir() else ("dataset", _write_set)
    with atomic_write(out) as temporary:
        temporary.mkdir()
        card, summary = write(source, temporary, Entry(repo, licence))
        write_text(temporary / CARD, card)
    print(f"written   {out}: {summary}; read its {CARD} before you upload it")
    print(f"upload    hf upload {repo} {out} . --repo-type {kind}")
