"""Subsets of ImageNet: which classes they have, by WordNet id, and in which order methods' code counts them."""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

from gift_jax.data.datasets import DatasetSpec
from gift_jax.errors import GiftError

_WNID = re.compile(r"n[0-9]{8}")

# The order of MTT's code (`utils.py`), which Minimax, NCFM, D3HR and CaO2 share; only Imagewoof's is not sorted.
NETTE = (
    *("n01440764", "n02102040", "n02979186", "n03000684", "n03028079"),
    *("n03394916", "n03417042", "n03425413", "n03445777", "n03888257"),
)
WOOF = (
    *("n02096294", "n02093754", "n02111889", "n02088364", "n02086240"),
    *("n02089973", "n02087394", "n02115641", "n02099601", "n02105641"),
)
# The first ten of IDC's `misc/class100.txt`.
TEN = (
    *("n02869837", "n01749939", "n02488291", "n02107142", "n13037406"),
    *("n02091831", "n04517823", "n04589890", "n03062245", "n01773797"),
)
# Those whose classes all code agrees on; imagenet-10 and -100 are not among them.
CLASSES: Mapping[str, frozenset[str]] = MappingProxyType(
    {"imagenet-nette": frozenset(NETTE), "imagenet-woof": frozenset(WOOF)}
)


def check_subset(label: str, names: Collection[str], spec: DatasetSpec) -> None:
    """Raises: GiftError if class folders are WordNet ids, but not those of the subset: others have as many."""
    known = CLASSES.get(spec.name, frozenset())
    strangers = sorted(name for name in names if _WNID.fullmatch(name) and name not in known)
    if known and strangers:
        owner = next((name for name, classes in CLASSES.items() if strangers[0] in classes), None)
        mend = f"it is one of {owner}; give that as --dataset" if owner else "check --dataset and the path"
        raise GiftError(f"{label}: has the class folder {strangers[0]!r}, which is no class of {spec.name}; {mend}")
