"""Datasets by name: classes, input sizes and the normalisation that the official code uses.

One that is not in the table is described by a file, `data/NAME/dataset.json`, which `python -m experiments.add_dataset`
writes. The description travels inside teachers and distilled sets, so that they work where that file is not.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gift_jax.data.typed_json import from_json
from gift_jax.errors import GiftError, unknown_name
from gift_jax.readers.class_names import FASHION
from gift_jax.readers.request import NO_READING_OPTIONS, SourceOptions
from gift_jax.runtime.files import file_state, read_json_object, write_text

DIRECTORY, FILE = Path("data"), "dataset.json"
DIGEST = "digest"  # a field of the file
_NAME = re.compile(r"\w[\w.+-]*")
_REMAKE = "write it again by add_dataset"


def check_name(name: str) -> None:
    """Raises: GiftError if a dataset cannot have that name, which is a directory's too."""
    if not _NAME.fullmatch(name):
        raise GiftError(f"dataset name {name!r} must be letters, digits, '.', '_', '+' or '-'")


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """Colour statistics of [0, 1] pixels, one entry a channel: images enter a network as `(x - mean) / std`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        shares = all(0 <= value <= 1 for value in (*self.mean, *self.std))
        if len(self.mean) != len(self.std) or not shares or not all(self.std):
            mean, std = (" ".join(map(str, values)) for values in (self.mean, self.std))
            raise GiftError(
                f"mean {mean} and std {std} are not of pixels in [0, 1]: as many of each, none above 1, and std "
                "above zero; divide those of pixels from 0 to 255 by 255"
            )


CIFAR_NORMALISATION = Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
IMAGENET_NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN_NORMALISATION = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
# Of scikit-learn's digits, over all training pixels (`data.digits`), to four digits.
DIGITS_NORMALISATION = Normalisation((0.3056,), (0.3764,))

# The architectures that the official code trains on smaller images, its ConvNets; ConvNeXt is none of them.
CONVNETS = frozenset(f"conv{depth}" for depth in range(1, 10))


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """A dataset: number of classes, side of its images in pixels (ConvNets may use another), channels.

    home says where its real images are published. resize (a, b): an image's shorter side is scaled to a/b of the input
    before the middle is cut out; None takes images as they are. mirrors: whether a mirrored image is still of its
    class, and training may flip it. class_names: by class id, () if not known. train, test: where its real images
    are, None for the official directories.
    Raises: GiftError if sizes are not positive, or names and statistics do not fit them.
    """

    name: str
    num_classes: int
    image_size: int
    normalisation: Normalisation
    home: str
    convnet_size: int | None = None
    channels: int = 3
    resize: tuple[int, int] | None = None
    mirrors: bool = True
    class_names: tuple[str, ...] = ()
    train: str | None = None
    test: str | None = None
    train_reading: SourceOptions = NO_READING_OPTIONS
    test_reading: SourceOptions = NO_READING_OPTIONS

    def __post_init__(self) -> None:
        check_name(self.name)
        sides = (self.image_size, self.convnet_size or 1, *(self.resize or ()))
        if self.num_classes < 2 or min(sides) < 1 or self.channels not in (1, 3):
            raise GiftError(f"dataset {self.name!r} needs two classes, sizes above 0, and 1 or 3 channels")
        if len(self.normalisation.mean) != self.channels or len(self.class_names) not in (0, self.num_classes):
            raise GiftError(f"dataset {self.name!r}: statistics or class names do not fit its channels and classes")

    def input_size(self, model: str) -> int:
        """Side of the input in pixels for a model, as the official code has it (`conv*` may see smaller images)."""
        return self.convnet_size if self.convnet_size and model in CONVNETS else self.image_size


_CIFAR_HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"
_TINY_HOME = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_IMAGENET_HOME = "https://www.image-net.org"
_MNIST_HOME = "https://yann.lecun.com/exdb/mnist"
_FASHION_HOME = "https://github.com/zalandoresearch/fashion-mnist; on Debian the package dataset-fashion-mnist has them"
_SVHN_HOME = "http://ufldl.stanford.edu/housenumbers"
_NETTE_HOME = "https://github.com/fastai/imagenette"


def _imagenet(name: str, num_classes: int, convnet_size: int, home: str = _IMAGENET_HOME) -> DatasetSpec:
    return DatasetSpec(name, num_classes, 224, IMAGENET_NORMALISATION, home, convnet_size, resize=(8, 7))


DATASETS: Mapping[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec("digits", 10, 8, DIGITS_NORMALISATION, "scikit-learn", channels=1, mirrors=False),
        DatasetSpec("cifar10", 10, 32, CIFAR_NORMALISATION, _CIFAR_HOME),
        DatasetSpec("cifar100", 100, 32, CIFAR_NORMALISATION, _CIFAR_HOME),
        # Statistics and mirrors as the DC family's code has them (VICO-UoE/DatasetCondensation, `utils.py`).
        DatasetSpec("mnist", 10, 28, Normalisation((0.1307,), (0.3081,)), _MNIST_HOME, channels=1, mirrors=False),
        DatasetSpec(
            "fashion-mnist", 10, 28, Normalisation((0.2861,), (0.3530,)), _FASHION_HOME, channels=1, class_names=FASHION
        ),
        DatasetSpec(
            "svhn", 10, 32, Normalisation((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)), _SVHN_HOME, mirrors=False
        ),
        DatasetSpec("tinyimagenet", 200, 64, IMAGENET_NORMALISATION, _TINY_HOME),
        _imagenet("imagenet-1k", 1000, 64),
        # The pruned ImageNet-21K-P, whose published networks take pixels in [0, 1] as they are.
        DatasetSpec("imagenet-21k", 10450, 224, PLAIN_NORMALISATION, _IMAGENET_HOME, resize=(8, 7)),
        _imagenet("imagenet-nette", 10, 128, _NETTE_HOME),
        _imagenet("imagenet-woof", 10, 128, _NETTE_HOME),
        _imagenet("imagenet-10", 10, 128),
        _imagenet("imagenet-100", 100, 128),
    )
}


_embedded: dict[str, DatasetSpec] = {}  # described by teachers and sets that were loaded


def get_dataset(dataset: str | DatasetSpec) -> DatasetSpec:
    """The dataset of that name: of `data/NAME/dataset.json`, the table, or what was loaded. Raises: GiftError."""
    if isinstance(dataset, DatasetSpec):
        return dataset
    name = known_spelling(dataset)
    path = DIRECTORY / name / FILE
    if _NAME.fullmatch(name) and path.is_file():
        return read_dataset(path)
    if (known := DATASETS.get(name) or _embedded.get(name)) is not None:
        return known
    text = str(unknown_name("dataset", dataset, _known_names()))
    join = " Or" if text.endswith("?") else ", or"
    raise GiftError(f"{text}{join} describe your own by `python -m experiments.add_dataset NAME --data DIRECTORY`")


def _known_names() -> list[str]:
    described = [path.parent.name for path in sorted(DIRECTORY.glob(f"*/{FILE}"))]
    return [*dict.fromkeys((*described, *DATASETS, *_embedded))]


def known_spelling(name: str) -> str:
    """A dataset's name as it is known here, if it is known in another case, such as CIFAR10; else the name."""
    known = _known_names()
    return name if name in known else next((one for one in known if one.casefold() == name.casefold()), name)


def read_dataset(path: Path) -> DatasetSpec:
    """Read a `dataset.json`. Raises: GiftError if it is damaged, or contradicts the table."""
    return _read(path.resolve(), file_state(path))


@functools.lru_cache
def _read(path: Path, _: tuple[int, int, int]) -> DatasetSpec:
    spec = _parse_file(path)
    known = DATASETS.get(spec.name)
    if known is not None and identity(known) != identity(spec):
        raise GiftError(f"{path}: contradicts what {spec.name} is known to be; give the dataset another name")
    return spec


def _parse_file(path: Path) -> DatasetSpec:
    content = read_json_object(path)
    digest = content.pop(DIGEST, None)
    spec = from_json(DatasetSpec, content, str(path), _REMAKE)
    if digest != _digest(spec):
        raise GiftError(f"{path}: does not fit the digest that was stored with it; {_REMAKE}")
    return spec


def _digest(spec: DatasetSpec) -> str:
    """Of what a dataset is: where its images are may be changed by hand."""
    return hashlib.sha256(json.dumps(describe_dataset(identity(spec)), sort_keys=True).encode()).hexdigest()


def describe_dataset(spec: DatasetSpec) -> dict[str, Any]:
    """The spec as JSON."""
    content = json.loads(json.dumps(dataclasses.asdict(spec)))
    for reading in (content["train_reading"], content["test_reading"]):
        if reading["hold_out"] is None:  # as in descriptions, and digests of them, from before there was one
            del reading["hold_out"]
    return content


def write_dataset(path: Path, spec: DatasetSpec) -> None:
    """Write a `dataset.json` with a digest of what the dataset is, unless a sound one describes something else.

    Test images may be added to a description that has none.
    """
    differing = []
    with contextlib.suppress(GiftError):
        found, wanted = (describe_dataset(one) for one in (_parse_file(path), spec))
        free = ("home",) if found["test"] else ("home", "test", "test_reading")
        differing = [name for name in wanted if name not in free and found[name] != wanted[name]]
    if differing:
        text = f"{spec.name} otherwise ({', '.join(differing)} differ)"
        mend = f"choose another name, or remove the description (`rm {path}`)"
        raise GiftError(f"{path}: describes {text}, and is not replaced; {mend}")
    content = {**describe_dataset(spec), DIGEST: _digest(spec)}
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def identity(spec: DatasetSpec) -> DatasetSpec:
    """What a dataset is, without where its images are on this machine."""
    return dataclasses.replace(
        spec, train=None, test=None, home="", train_reading=NO_READING_OPTIONS, test_reading=NO_READING_OPTIONS
    )


def embedded_description(name: str) -> dict[str, Any] | None:
    """What a teacher or a set says of its dataset, for other machines; None of one in the table."""
    try:
        return None if name in DATASETS else describe_dataset(identity(get_dataset(name)))
    except GiftError:  # whoever needs the description will say so
        return None


def register_embedded_dataset(content: Mapping[str, Any] | None, where: str) -> None:
    """Know a dataset by what a teacher or a set says of it. Raises: GiftError if another one has that name here."""
    if content is None:
        return
    spec = identity(from_json(DatasetSpec, content, where, _REMAKE))
    try:
        known = identity(get_dataset(spec.name))
    except GiftError:
        known = None
    if known not in (None, spec):
        raise GiftError(f"{where}: is of another dataset than the {spec.name} here; rename one of the two")
    _embedded.setdefault(spec.name, spec)


def resolve_dataset_name(text: str) -> str:
    """The name of a dataset that is given by its name, or by the path of its `dataset.json`."""
    if not text.endswith(".json"):
        return known_spelling(text)
    spec = _parse_file(Path(text))
    _embedded.setdefault(spec.name, spec)
    return spec.name
