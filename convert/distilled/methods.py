"""What each method's release is, as its authors' code has it: layouts, pixels, and how their readers take images."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from gift_jax.data.datasets import CIFAR_NORMALISATION, DATASETS, IMAGENET_NORMALISATION, Normalisation
from gift_jax.data.distilled import PixelSpace
from gift_jax.readers.class_names import NETTE, TEN, WOOF

Space = PixelSpace | Literal["unbounded"]
"""What was done to stored pixels; `unbounded` ones are raw floats that may leave [0, 1] by a little."""

_DATA: Mapping[str, Space | None] = dict.fromkeys(("data.pt", "datm", "arrays", "parquet", "images", "idx", "cifar"))


class Release(NamedTuple):
    """A method's release.

    spaces: the layouts that it may have, by their names in `LAYOUTS`, and the space of each, None where it does not
    tell. statistics: by dataset, what its code normalises by. factors: whether an image may hold several, and which
    factors the authors have, in words. orders: by dataset, the names of the classes that the labels of tensors count.
    resized: whether the authors' readers resize encoded images to the network's input. copies: how the names of folders
    end that hold other folders' images from before optimisation.
    """

    spaces: Mapping[str, Space | None] = _DATA
    statistics: Mapping[str, Normalisation] = {}
    factors: str | None = None
    orders: Mapping[str, Sequence[str]] = {}
    resized: bool = False
    copies: str | None = None


_ORDERS: Mapping[str, Sequence[str]] = {"imagenet-nette": NETTE, "imagenet-woof": WOOF}


def _known(*names: str) -> dict[str, Normalisation]:
    return {name: DATASETS[name].normalisation for name in names}


# Array pairs are nobody's release: whoever wrote them knows what was done to the pixels.
_IMAGES = Release({"images": "raw", "parquet": "raw", "data.pt": "raw", "arrays": None})
_WHITENED = Release({"datm": "zca", "data.pt": None, "arrays": None})
# `get_dataset` of `utils.py`, VICO-UoE/DatasetCondensation: real images are normalised before anything is learned.
_DC = Release(
    {**_DATA, "data.pt": "normalised"},
    {
        **_known("mnist", "fashion-mnist", "svhn", "cifar10", "tinyimagenet"),
        "cifar100": Normalisation((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
    },
)
# `MEANS` and `STDS` of IDC's `data.py` and NCFM's `dataset_statistics.py`, `load_normalize` of CIM. Pixels are clamped
# to [0, 1] before an iteration and not after it, CIM's never, and the readers do not clamp them either.
_LEARNED = Release(
    {**_DATA, "data.pt": "unbounded"},
    {
        **_known("mnist", "fashion-mnist", "svhn"),
        **dict.fromkeys(("cifar10", "cifar100"), CIFAR_NORMALISATION),
        **dict.fromkeys(
            ("tinyimagenet", *(name for name in DATASETS if name.startswith("imagenet-"))), IMAGENET_NORMALISATION
        ),
    },
)
_IDC = _LEARNED._replace(factors="IDC has 2, for ImageNet 3, IDC-I 1", orders={**_ORDERS, "imagenet-10": TEN})
# `transform_imagenet` of `data.py`, vimar-gu/MinimaxDiffusion: Resize and CenterCrop to 224 pixels of PNGs of 256.
_DIFFUSED = Release({"images": "raw", "parquet": "raw", "arrays": None}, resized=True)

METHODS: Mapping[str, Release] = {
    **dict.fromkeys(("sre2l", "cda", "gvbsm", "rded", "lpld", "dwa", "random"), _IMAGES),
    **dict.fromkeys(("d4m", "edc", "wmdd", "cvdd", "delt"), _IMAGES),
    **dict.fromkeys(("datm", "pad"), _WHITENED),
    **dict.fromkeys(("dc", "dsa", "dm"), _DC),
    "mtt": Release(orders=_ORDERS),  # whitened or normalised, as an option of its code says
    "idc": _IDC,
    "dream": _IDC._replace(factors="DREAM's README has 2"),
    "ncfm": _IDC._replace(factors="NCFM's configurations have 2"),
    "cim": _LEARNED,  # mosaics, of which the recipe shows a cell at a time
    **dict.fromkeys(("minimax", "d3hr"), _DIFFUSED),
    "cao2": _DIFFUSED._replace(copies="_ss"),
}


def release_of(method: str) -> Release:
    """What a method's release may be; of a method that is not in `METHODS`, any layout, in a space to be told."""
    return METHODS.get(method, Release())
