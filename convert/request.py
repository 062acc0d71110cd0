"""What is asked for when a teacher, a distilled set or stored soft labels are converted: the commands' options."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gift_jax.data.datasets import DatasetSpec, Normalisation, get_dataset
from gift_jax.errors import GiftError
from gift_jax.readers.request import ReadRequest, SourceOptions
from gift_jax.runtime import options
from gift_jax.runtime.options import Choices, Count, Dataset, ModelName
from gift_jax.runtime.seeds import check_seeds

Source = Annotated[options.Source, tyro.conf.Positional]
Method = Annotated[str, Choices(f"{__package__}.distilled.methods:METHODS", has_others=True)]


def given_normalisation(mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> Normalisation | None:
    """The statistics of two options, None if they are not given. Raises: GiftError if they do not fit each other."""
    if (mean is None) != (std is None):
        raise GiftError("--mean and --std go together; give both, one value for each channel")
    return Normalisation(mean, std) if mean and std else None


@dataclasses.dataclass(frozen=True)
class TeacherRequest:
    """A PyTorch teacher to convert, and what its file does not say.

    Args:
        source: checkpoint of a trainer, a bare state dict, or a directory with a config.json, as on the Hub; also
            hf://OWNER/NAME[@REVISION].
        out: directory to write.
        dataset: dataset that it was trained on.
        model: its architecture, where no config.json tells it.
        norm: the ConvNet's normalisation, where weights cannot tell: instance, DC's default, or group, of 4 groups.
        image_size: side of its input in pixels, if not config.json's or the dataset's usual one.
        mean: mean of each colour channel, if not config.json's or the dataset's usual ones; with std.
        std: standard deviation of each colour channel.
        ema: take the averaged weights (model_ema, state_dict_ema, ...) of the checkpoint rather than the last ones.
        key: of the weights in the checkpoint, where several fit, such as net or state_dict.student.
        rows: outputs of a head with more classes than the dataset to keep, from 0, one a class in the dataset's order.
    Raises: GiftError if a number cannot be, or options contradict each other.
    """

    source: Source
    out: Path
    dataset: Dataset | None = None
    model: ModelName | None = None
    norm: Literal["batch", "instance", "group", "layer", "none"] | None = None
    image_size: Count | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    ema: bool = False
    key: str | None = None
    rows: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        options.check_numbers(self)
        given_normalisation(self.mean, self.std)


@dataclasses.dataclass(frozen=True)
class Request:
    """A distilled set to read, and what its source does not say.

    Args:
        source: class folders of images, Parquet shards, torch files (data.pt, images_best.pt and labels_best.pt), or
            NumPy's images and labels: a file, a directory, or a zip or tar of it, which is read without unpacking; or
            `hf://OWNER/NAME[@REVISION][/PATH]` on the Hub.
        method: that made it; any other name goes with --pixel-space.
        dataset: what it distils, such as cifar100.
        out: safetensors file to write.
        ipc: images per class to keep: the first ones in sorted order, or in the file's (default: all).
        pixel_space: how its pixels are stored, where the method's release does not tell.
        mean: mean of each colour channel that normalised pixels were made with; with std.
        std: standard deviation of each colour channel.
        class_order: file with a class name per line, in the order of class ids, if sorting them gives another order.
        soft_labels: what rows of labels are that are not one-hot.
        repetition: which one of several sets in a torch file, counted from 1 (default: the first).
        split: which one of several splits, such as train.
        label_column: which of several label columns of Parquet shards, such as fine_label.
        first_label: number of the first class, if labels or folders count from 1.
        factor: an image holds factor x factor smaller ones (idc, dream, ncfm), which are enlarged; 1 if it holds one.
        iteration: which one of several logged sets (images_5000.pt), if it is not the best.
        image_size: side in pixels to resize image files to (default: as stored; of minimax, d3hr, cao2 the dataset's).
    Raises: GiftError if a number cannot be, or options contradict each other.
    """

    source: Source
    method: Method
    dataset: Dataset
    out: Path
    ipc: Count | None = None
    pixel_space: Literal["raw", "normalised", "zca"] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    class_order: options.Source | None = None
    soft_labels: Literal["probabilities", "logits"] | None = None
    repetition: Count | None = None
    split: str | None = None
    label_column: str | None = None
    first_label: int = 0
    factor: Count | None = None
    iteration: Annotated[int, options.Least(0)] | None = None
    image_size: Count | None = None

    def __post_init__(self) -> None:
        options.check_numbers(self)
        given_normalisation(self.mean, self.std)
        if self.first_label not in (0, 1):
            raise GiftError(f"--first-label is {self.first_label}, expected 0 or 1")
        if self.class_order and self.first_label:
            raise GiftError("--class-order names each class, so that --first-label has no meaning; drop one of them")

    @property
    def spec(self) -> DatasetSpec:
        """The dataset. Raises: GiftError if it is unknown."""
        return get_dataset(self.dataset)

    def for_readers(self, copies: str | None = None) -> ReadRequest:
        """What `gift_jax.readers` are asked for. Args: copies, the ending of folders that do not count."""
        order = None if self.class_order is None else str(self.class_order)
        options = SourceOptions(self.split, None, self.label_column, order)
        return ReadRequest(None, options, self.spec, self.first_label, copies)


@dataclasses.dataclass(frozen=True)
class LabelRequest:
    """A bank of stored soft labels to import, and what it does not say.

    Args:
        source: directory of epoch_0/batch_0.tar (LPQLD: batch_0.tar, HALD: epoch_0.tar) and so on, or the released
            tar.gz, which is read without unpacking; also `hf://OWNER/NAME[@REVISION][/PATH]`.
        distilled: the distilled set that they belong to, whole, as `convert distilled` or `convert push` wrote it.
        out: directory to write, with a file per epoch.
        epochs: import the first ones only.
        seed: of the authors' sampler, where the order of the images is not stored (SRe2L, WMDD).
        draw: which batches an epoch of training has: those stored for it, or some of all, drawn anew; the authors' way
            if it is not given.
        temperature: of the softmax whose probabilities are stored (HALD).
        centre: take the mean of the teacher's logits, of which probabilities do not tell it, as 0 (HALD), so that
            losses that read them, such as gift, can train.
    Raises: GiftError if a number cannot be.
    """

    source: Source
    distilled: options.Source
    out: Path
    epochs: Count | None = None
    seed: int = 42
    draw: Literal["stored", "with_replacement", "without_replacement", "in_turns"] | None = None
    temperature: float = 20.0
    centre: bool = False

    def __post_init__(self) -> None:
        options.check_numbers(self)
        check_seeds([self.seed])
        if not self.temperature > 0:
            raise GiftError(f"--temperature is {self.temperature:g}, expected a number above 0")
