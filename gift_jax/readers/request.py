"""What a reader of real images is asked for."""

import dataclasses
from typing import NamedTuple, Protocol


@dataclasses.dataclass(frozen=True)
class SourceOptions:
    """What a source of real images does not say of itself, as options say it.

    split: which of several; labels: a list of labels of a flat folder; label_column: of Parquet shards; class_order:
    a file of class names by class id. Paths are text, as JSON has them.
    """

    split: str | None = None
    labels: str | None = None
    label_column: str | None = None
    class_order: str | None = None


NO_READING_OPTIONS = SourceOptions()


class KnownClasses(Protocol):
    """What readers know of a dataset; `gift_jax.data.datasets.DatasetSpec` fits."""

    @property
    def name(self) -> str:
        """The dataset's."""
        ...

    @property
    def num_classes(self) -> int:
        """How many classes it has."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """By class id, () if not known."""
        ...


class ReadRequest(NamedTuple):
    """train: training images, or test images; options: what the source does not say; spec: the dataset, None if it is
    new."""

    train: bool
    options: SourceOptions = NO_READING_OPTIONS
    spec: KnownClasses | None = None
