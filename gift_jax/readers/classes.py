"""Which class id a class has, by its name (of a folder, in a list of labels, in a column) or by its number.

One rule for every reader. A class-order file decides; else names that the dataset knows do, in any of their spellings;
else numbers are class ids, and WordNet ids count in their sorted order. Other names have an order of their own in a new
dataset alone.
"""

import collections
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gift_jax.errors import GiftError
from gift_jax.readers.class_names import KNOWN
from gift_jax.readers.request import KnownClasses, ReadRequest
from gift_jax.readers.text import read_lines, same_text
from gift_jax.runtime.files import same_content, sha256, write_text

MOST_CLASSES = 2**20
WNID = re.compile(r"n[0-9]{8}")
_NUMBERED = re.compile(r"(?:new)?([0-9]{1,9})")  # SRe2L's folders are new000, new001, ...


class ClassOrder(NamedTuple):
    """names: of the classes, by class id. ids: by the name that the source has. note: where the order comes from."""

    names: tuple[str, ...]
    ids: Mapping[str, int]
    note: str


def same_name(name: str) -> str:
    """What the spellings of a class name have in common: not case, nor spaces, underscores, hyphens and slashes."""
    return re.sub(r"[\s_/\\-]+", " ", same_text(name).casefold()).strip()


def order_classes(label: str, found: Sequence[str], request: ReadRequest, kind: str = "folder") -> ClassOrder:
    """The classes of a source by class id.

    Args:
        label: the source, for messages.
        found: its class names, each once, in the order in which a new dataset counts them.
        request: the dataset, of which a class may be missing, and a class-order file, which leaves other names out.
        kind: what has the names, `folder`, `name` (in a file that gives each a number) or `label` (of single images).
    """
    spec = request.spec
    if len(set(found)) < len(found):
        raise GiftError(f"{label}: has the class {kind} {_repeated(found)!r} twice; rename one of them")
    if request.options.class_order is not None:
        return _ordered_by_file(label, found, request, kind)
    if spec and not request.first_label and (known := _known(label, found, spec, kind)):
        return known
    # A file that numbers its names may have both, as ImageNet has Cardigan, a dog, and cardigan, a jacket.
    by_letters = {name.casefold(): name for name in found} if kind != "name" else {}
    if other := next((name for name in found if by_letters.get(name.casefold(), name) != name), None):
        raise GiftError(
            f"{label}: the class {kind}s {other!r} and {by_letters[other.casefold()]!r} differ in case alone; rename "
            "or join them, or name both by `class_order`"
        )
    numbers = {name: int(match[1]) for name in found if (match := _NUMBERED.fullmatch(name))}
    if numbers and len(numbers) == len(found):
        return _numbered(label, numbers, request, kind)
    if request.first_label and not numbers:
        raise GiftError(f"{label}: its class {kind}s are no numbers ({found[0]!r} ...); drop `first_label`")
    if spec is not None:
        _check_unknown(label, found, numbers, spec, kind)
    order = "the file's order" if kind == "name" else "sorted order"
    return ClassOrder(tuple(found), {name: place for place, name in enumerate(found)}, f"{kind}s in {order}")


def _repeated(names: Sequence[str]) -> str:
    return next(name for name in names if names.count(name) > 1)


@functools.cache
def known_names(name: str, class_names: tuple[str, ...]) -> Mapping[str, int]:
    """Class ids of a dataset by the spellings of its class names. Names as they are written go before others."""
    names = tuple((name,) for name in class_names) or KNOWN.get(name, ())
    counts = collections.Counter(spelling for spellings in names for spelling in set(map(same_name, spellings)))
    loose = {same_name(spelling): label for label, spellings in enumerate(names) for spelling in spellings}
    exact = {same_text(spelling): label for label, spellings in enumerate(names) for spelling in spellings}
    return {spelling: label for spelling, label in loose.items() if counts[spelling] == 1} | exact


def _class_id(name: str, known: Mapping[str, int]) -> int | None:
    return known.get(same_text(name), known.get(same_name(name)))


def _known(label: str, found: Sequence[str], spec: KnownClasses, kind: str) -> ClassOrder | None:
    """The classes by the names that the dataset knows; None if one is another."""
    known = known_names(spec.name, spec.class_names)
    ids = {name: number for name in found if (number := _class_id(name, known)) is not None}
    if not ids or len(ids) < len(found):
        return None
    by_id: dict[int, str] = {}
    for name, number in ids.items():
        if by_id.setdefault(number, name) != name:
            pair = f"{by_id[number]!r} and {name!r}"
            raise GiftError(f"{label}: the class {kind}s {pair} are one class of {spec.name}; join them")
    names = spec.class_names or tuple(spellings[0] for spellings in KNOWN[spec.name])
    return ClassOrder(names, ids, f"{kind}s by the names of {spec.name}")


def _numbered(label: str, numbers: Mapping[str, int], request: ReadRequest, kind: str) -> ClassOrder:
    """The classes by numbers, which are their ids. Raises: GiftError unless each class has one."""
    spec = request.spec
    count = spec.num_classes if spec else len(numbers)
    found = class_ids(label, np.array([*numbers.values()]), request, f"class {kind}").tolist()
    ids, counts = dict(zip(numbers, found, strict=True)), collections.Counter(found)
    wrong = next((number for number in range(count) if counts[number] != 1), None)
    may_lack_some = spec and kind == "label" and 0 in counts
    if wrong is not None and not may_lack_some:
        mend = "check `dataset`" if spec else "let them count from 0"
        raise GiftError(
            f"{label}: class {wrong} has {counts[wrong]} {kind}s, but classes 0..{count - 1} must have one each; "
            f"{mend}, or give the order of the class {kind}s by `class_order`"
        )
    by_id = {number: name for name, number in ids.items()}
    names = tuple(by_id.get(number, str(number)) for number in range(count))
    return ClassOrder((spec.class_names if spec else ()) or names, ids, f"the {kind}s' numbers")


def _check_unknown(label: str, found: Sequence[str], numbers: Mapping[str, int], spec: KnownClasses, kind: str) -> None:
    """Names that are neither the dataset's nor numbers. Raises: GiftError unless they have a known order."""
    known = known_names(spec.name, spec.class_names)
    stranger = next((name for name in found if name not in numbers and _class_id(name, known) is None), None)
    if known and stranger is not None:
        subsets = (name for name, names in KNOWN.items() if stranger in {spellings[0] for spellings in names})
        subset = next(subsets, None) if WNID.fullmatch(stranger) else None
        mend = f"check `dataset` and the path, or give the order of the class {kind}s by `class_order`"
        mend = f"it is one of {subset}; give that as `dataset`" if subset else mend
        raise GiftError(f"{label}: has the class {kind} {stranger!r}, which is no class of {spec.name}; {mend}")
    if numbers and stranger is not None:
        raise GiftError(f"{label}: {stranger!r} is among class {kind}s that are numbered; remove it, or rename it")
    if len(found) != spec.num_classes:
        raise GiftError(
            f"{label}: has {len(found)} class {kind}s ({found[0]!r} ...), but {spec.name} has {spec.num_classes} "
            "classes; check `dataset` and the path, or name the classes to take by `class_order`"
        )
    # A file that gives each name a number has an order, unless it is that of folders, sorted as text.
    stated = kind == "name" and list(found) != sorted(found)
    if not stated and not all(map(WNID.fullmatch, found)):
        raise GiftError(
            f"{label}: has the class {kind}s {', '.join(map(repr, found[:2]))} ..., and it is not known which classes "
            f"of {spec.name} these are; give a file of the class {kind}s in the order of the classes by `class_order`"
        )


def _ordered_by_file(label: str, found: Sequence[str], request: ReadRequest, kind: str) -> ClassOrder:
    spec, path = request.spec, Path(request.options.class_order or "")
    if request.first_label:
        raise GiftError("`class_order` names each class, so that `first_label` has no meaning; drop one of them")
    order = read_class_order(path, spec.num_classes if spec else None)
    names = spec.class_names if spec else ()
    places = {name: place for place, name in enumerate(order)}
    contradiction = next((name for place, name in enumerate(names) if places.get(name, place) != place), None)
    if spec and contradiction is not None:
        raise GiftError(
            f"{path}: has {contradiction!r} as class {places[contradiction]}, but {spec.name} has it as class "
            f"{names.index(contradiction)}; give the order of {spec.name}, or describe a dataset of another name"
        )
    missing = next((name for name in order if name not in found), None)
    if missing is not None and set(order) != set(names):
        raise GiftError(f"{label}: has no class {kind} {missing!r}, which {path} names; name each {kind} once in it")
    ids = {name: places[name] for name in found if name in places}
    return ClassOrder(order, ids, f"class-order file {path.name}, SHA-256 {sha256(path)}")


def different_ids(ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, int, int] | None:
    """A class name that stands at two ids, and these; None if there is none. Numbers are no names."""
    known = known_names("", tuple(theirs))
    for place, name in enumerate(ours):
        other = _class_id(name, known)
        if other not in (None, place) and not _NUMBERED.fullmatch(name):
            return name, place, other
    return None


def are_numbers(names: Iterable[str]) -> bool:
    """Whether class names are numbers, which tell nothing but class ids."""
    return all(map(_NUMBERED.fullmatch, names))


def names_with_ids(order: ClassOrder) -> str:
    """The names that a source has, with their class ids, in a line; of many the first ten and the last."""
    parts = [f"{label} {name}" for label, name in sorted((label, name) for name, label in order.ids.items())]
    return ", ".join(parts if len(parts) <= 20 else [*parts[:10], "...", parts[-1]])


def read_class_order(path: Path, num_classes: int | None) -> tuple[str, ...]:
    """Read class names, one a line, by class id; lines that begin with `#` do not count. Raises: GiftError."""
    names = tuple(same_text(line) for line in read_lines(path) if not line.startswith("#"))
    if num_classes is not None and len(names) != num_classes:
        raise GiftError(f"{path}: names {len(names)} classes, expected {num_classes}; write one folder name a line")
    if len(set(names)) != len(names):
        raise GiftError(f"{path}: names {_repeated(names)!r} twice; write each folder once")
    return names


def write_class_order(path: Path, names: Iterable[str]) -> None:
    """Write class names, by class id, as a class-order file. Raises: GiftError if the file holds something else."""
    text = "# The class folder of each class id, from 0.\n" + "".join(f"{name}\n" for name in names)
    write_text(path, text, keep=same_content)


def hard_labels(labels: np.ndarray, spec: KnownClasses | None = None) -> np.ndarray | None:
    """Class ids [N] of whole numbers [N] or [N, 1], or of one-hot rows [N, classes]; None of anything else."""
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        return labels
    fits = labels.ndim == 2 and labels.dtype.kind in "fiub" and (spec is None or labels.shape[1] == spec.num_classes)
    one_hot = fits and ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
    return labels.argmax(1) if one_hot else None


def class_ids(label: str, numbers: np.ndarray, request: ReadRequest, what: str = "label") -> np.ndarray:
    """Class ids, int32 [N], of stored numbers, less the first class's. Args: what, that the numbers are of."""
    spec, first, mend = request.spec, request.first_label, request.first_label_mend
    if request.options.class_order is not None:
        raise GiftError(f"{label}: its labels are class ids, and it has no class names; drop `class_order`")
    count = spec.num_classes if spec else MOST_CLASSES
    if first == 0 and len(numbers) and (numbers.min(), numbers.max()) == (1, count):
        raise GiftError(f"{label}: its {what}s count from 1 to {count}, expected 0..{count - 1}; {mend}")
    outside = numbers[(numbers < first) | (numbers >= first + count)]
    if len(outside):
        raise GiftError(f"{label}: has a {what} {outside[0]}, expected {first}..{first + count - 1}; check `dataset`")
    return (numbers - first).astype(np.int32)


def numbered_classes(label: str, numbers: np.ndarray, request: ReadRequest) -> tuple[np.ndarray, ClassOrder]:
    """`class_ids`, and classes that have only these: their names are the dataset's, else the numbers."""
    ids, spec = class_ids(label, numbers, request), request.spec
    names = tuple(map(str, range(spec.num_classes if spec else int(ids.max(initial=-1)) + 1)))
    return ids, ClassOrder((spec.class_names if spec else ()) or names, {}, "class ids")


def named_classes(
    label: str, numbers: np.ndarray, names: Sequence[str], request: ReadRequest
) -> tuple[np.ndarray, ClassOrder]:
    """Class ids, int32 [N], of numbers that count names, and the classes. Raises: GiftError if one lacks name or id."""
    order = order_classes(label, names, request, "name")
    outside = numbers[(numbers < 0) | (numbers >= len(names))]
    if len(outside):
        raise GiftError(f"{label}: has a label {outside[0]}, but {len(names)} class names; check the source")
    if stranger := next((name for name in names if name not in order.ids), None):
        raise GiftError(f"{label}: has the class {stranger!r}, which is not in the class order; complete that")
    return np.array([order.ids[name] for name in names], np.int32)[numbers], order
