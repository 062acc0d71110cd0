"""What stored soft labels are: their arrays, what is said of them, and whether the two agree."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

CROPS = ("bytes", "floats")


class StoredBatches(NamedTuple):
    """Batches of one size B, along a first axis of S batches (absent for a single one).

    indices: int32 [S, B], rows of the distilled set; boxes: int16 [S, B, 4], top, left, height and width of the
    crops in pixels; flips: bool [S, B]; partners: int32 [S, B], places in the batch that are mixed in; shares:
    float32 [S], mixup's share of the image itself; mix_boxes: int16 [S, 4], first row and column and those past the
    last of CutMix's box; logits: float16 [S, B, classes], of the mixed images, or softmax probabilities
    (`StoredInfo.temperature`), or the k largest logits (`StoredInfo.top`).
    None where a bank has none: classes, int16 [S, B, k], of the largest logits; weights, float32 [S, B], of the images'
    losses.
    """

    indices: Any
    boxes: Any
    flips: Any
    partners: Any
    shares: Any
    mix_boxes: Any
    logits: Any
    classes: Any = None
    weights: Any = None


@dataclasses.dataclass(frozen=True)
class StoredInfo:
    """What is stored, the content of `fkd.json`.

    mix is a name in `MIXINGS`, image_size in pixels, distilled the digest of the set (`set_digest`), order where the
    images' order comes from.

    top: how many of the largest logits are stored for an image (0: all). temperature: of the softmax whose
    probabilities are stored (0: logits are); centred: logits with a mean of 0 are made of them. crops: `bytes`, resized
    as Pillow's images, or `floats`, as tensors. weighted: whether images' losses have weights. draw: a name in `DRAWS`,
    the batches of an epoch. batches: how many there are in all (0: every epoch is whole); drop_last: images that fill
    no batch are left out of an epoch. content: SHA-256 over the files of all epochs; "" where labels are made as they
    are asked for.
    """

    dataset: str
    num_images: int
    num_classes: int
    image_size: int
    epochs: int
    batch_size: int
    mix: str
    distilled: str
    order: str
    source: str
    top: int = 0
    temperature: float = 0.0
    centred: bool = False
    crops: str = "bytes"
    weighted: bool = False
    draw: str = "stored"
    batches: int = 0
    drop_last: bool = False
    content: str = ""

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        full, rest = divmod(self.num_images, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    @property
    def all_batches(self) -> int:
        """Batches in all files."""
        return self.batches or self.epochs * self.steps

    @property
    def whole_epochs(self) -> int:
        """Epochs of which every batch is stored."""
        return self.all_batches // self.steps

    @property
    def record(self) -> dict[str, Any]:
        """All of it as JSON, but for a content that there is none of: such runs keep their identity."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "content" or value}

    def describe(self) -> str:
        """What the labels are and which batches an epoch has, in a few words."""
        kind = f"{self.num_classes} logits of an image"
        if self.top:
            kind = f"the {self.top} largest of {kind}"
        elif self.temperature:
            known = "with a mean of 0" if self.centred else "up to a constant"
            kind = f"{kind}, known {known} by probabilities at T = {self.temperature:g}"
        weights = ", weights of the images" if self.weighted else ""
        if self.draw == "stored":
            return f"{kind}{weights}; {self.whole_epochs} epochs as stored"
        how = self.draw.replace("_", " ")
        return f"{kind}{weights}; {self.steps} of {self.all_batches:,} batches an epoch, drawn {how}"

    def compiled(self) -> "StoredInfo":
        """What a step reads of it: all else is left out, so that banks of one kind share a compilation."""
        unread = dict.fromkeys(("dataset", "distilled", "order", "source", "content"), "")
        return dataclasses.replace(self, **unread, epochs=1, draw="stored", batches=0)

    def batches_in(self, number: int) -> int:
        """Batches in the file of an epoch, counted from 0: as many as an epoch has, in the last one maybe fewer."""
        return min(self.steps, self.all_batches - number * self.steps)


BY_BATCH = ("shares", "mix_boxes")


def array_shapes(info: StoredInfo) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape, behind the first axis, and type of each array that is stored."""
    wide = info.top or info.num_classes
    return {
        **{"indices": ((), np.int32), "boxes": ((4,), np.int16), "flips": ((), np.bool_), "partners": ((), np.int32)},
        **{"shares": ((), np.float32), "mix_boxes": ((4,), np.int16), "logits": ((wide,), np.float16)},
        **({"classes": ((wide,), np.int16)} if info.top > 0 else {}),
        **({"weights": ((), np.float32)} if info.weighted else {}),
    }


def array_length(info: StoredInfo, name: str, batches: int) -> int:
    """Of an array's first axis, for so many batches of an epoch from its first one on."""
    return batches if name in BY_BATCH else min(batches * info.batch_size, info.num_images)


def problems(flat: StoredBatches, info: StoredInfo, batches: int) -> list[str]:
    """What is wrong with so many batches, one after another (first axis: all images, or all batches)."""
    shapes = array_shapes(info)
    for name, array in flat._asdict().items():
        if (array is not None) != (name in shapes):
            return [f"{name} are {'stored, which they should not be' if array is not None else 'not stored'}"]
    for name, (shape, dtype) in shapes.items():
        array, shape = getattr(flat, name), (array_length(info, name, batches), *shape)
        if array.shape != shape or array.dtype != dtype:
            return [f"{name} are {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(shape)}"]
    count, places, sides, top_classes = len(flat.indices), flat.boxes[:, :2], flat.boxes[:, 2:], flat.classes
    batch = np.arange(count) // info.batch_size
    sizes = np.minimum(info.batch_size, count - batch * info.batch_size)
    once = info.draw == "stored" and not info.batches  # each of the set's images, in a file
    checks = {
        "its images are not each of the set's once": not once or (np.sort(flat.indices) == np.arange(count)).all(),
        "an image is not one of the set's": _in_range(flat.indices, info.num_images),
        "an image is in a batch twice": len(np.unique(batch * info.num_images + flat.indices)) == count,
        "a crop lies outside its image": ((places >= 0) & (sides > 0) & (places + sides <= info.image_size)).all(),
        "a partner lies outside its batch": _in_range(flat.partners, sizes),
        "logits are not finite": np.isfinite(flat.logits).all(),
        "a share is not in [0, 1]": ((flat.shares >= 0) & (flat.shares <= 1)).all(),
        "a class is not one of the set's": top_classes is None or _in_range(top_classes, info.num_classes),
        "an image's classes are not different ones": top_classes is None or (np.diff(np.sort(top_classes)) != 0).all(),
        "a probability is not in [0, 1]": not info.temperature or ((flat.logits >= 0) & (flat.logits <= 1)).all(),
        "a weight is not above 0": flat.weights is None or (np.isfinite(flat.weights) & (flat.weights > 0)).all(),
    }
    return [problem for problem, holds in checks.items() if not holds]


def _in_range(numbers: np.ndarray, stop: Any) -> bool:
    return bool(((numbers >= 0) & (numbers < stop)).all())
