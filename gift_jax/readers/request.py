"""What a reader of labelled images is asked for."""

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class SourceOptions:
    """What a source of images does not say of itself, as options say it. Paths are text, as JSON has them.

    split: which of several. labels: a list of labels of a flat folder. label_column: of Parquet shards. class_order: a
    file of class names by class id. hold_out: the share of each class's training images that are its test images.
    """

    split: str | None = None
    labels: str | None = None
    label_column: str | None = None
    class_order: str | None = None
    hold_out: float | None = dataclasses.field(default=None, repr=False)  # caches are named by a spec's `repr`


NO_READING_OPTIONS = SourceOptions()


class KnownClasses(Protocol):
    """What readers know of a dataset; `gift_jax.data.datasets.DatasetSpec` fits. class_names: by class id, or ()."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def num_classes(self) -> int: ...  # noqa: D102
    @property
    def class_names(self) -> tuple[str, ...]: ...  # noqa: D102


@dataclasses.dataclass(frozen=True)
class ReadRequest:
    """Which images to read.

    train: the training images of a dataset, or its test images; None for a distilled set, which has one split.
    options: what the source does not say. spec: the dataset, None if it is new. first_label: the number of the first
    class. copies: how the names of folders end that do not count beside others.
    """

    train: bool | None
    options: SourceOptions = NO_READING_OPTIONS
    spec: KnownClasses | None = None
    first_label: int = 0
    copies: str | None = None

    @property
    def first_label_mend(self) -> str:
        """How to say that classes count from 1; only a distilled set is asked for its first label."""
        return "say `first_label` 1" if self.train is None else "let them count from 0"
