"""What training needs from outside, by one rule for `evaluate` and every study: options, and what is loaded by them."""

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np

from gift_jax import DistilledSet, GiftError, Teacher
from gift_jax.data.datasets import CONVNETS, get_dataset
from gift_jax.data.evaluation import DIGITS, EvaluationSet, load_evaluation, load_training, whiten
from gift_jax.data.transforms import make_transform
from gift_jax.data.zca import ZCA, fit_zca, load_zca, save_zca
from gift_jax.models import Model, ModelSpec, get_model
from gift_jax.runtime.files import cache_directory
from gift_jax.runtime.options import Count, Dataset, Existing, ModelName, Source, check_numbers
from gift_jax.training.identity import fingerprint

from .options import GROUPS, Images
from .real_images import RealImages, open_real, training_digits
from .sources import find_images, known_images
from .students import Options, parse_options

TEACHERLESS = "none"
VALIDATION_IMAGES = 5000  # at most, of the real training images
# Methods whose ConvNet students have InstanceNorm: DATM's evaluation says `net_norm="instance"`, which is the default
# setting of the DC family's and of IDC's `norm_type`.
INSTANCE_NORM = frozenset({"datm", "dc", "dsa", "dm", "mtt", "idc"})


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Options that name a set, a teacher and real images.

    Args:
        dataset: dataset that was distilled; the teacher and the test images are of it too.
        model: architecture of the student and of the teacher.
        ipc: images per class of the distilled set.
        distilled: the set, also hf://OWNER/NAME[@REVISION], or a directory in the official layout.
        teacher: the teacher, also hf://OWNER/NAME[@REVISION], or a directory of teachers; labels stored with the set
            come before it unless it is given, and none is looked for if the loss is `ce`, which reads hard labels;
            `none` takes nothing else.
        data: test images, as a directory of class folders, `tfds` or `tfds:DIR`.
        train_data: real training images, for whitened (DATM) sets, and for studies to choose settings on.
        class_order: file with a class folder per line, in the order of class ids.
    """

    GROUPS = GROUPS

    dataset: Dataset = "cifar100"
    model: ModelName = "conv3"
    ipc: Count = 10
    distilled: Source = Path("syn_data")
    teacher: Annotated[Path, Existing(rf"hf:/.*|{TEACHERLESS}")] = Path("data/pretrain_models")
    data: Images | None = None
    train_data: Images | None = None
    class_order: Source | None = None

    def __post_init__(self) -> None:
        check_numbers(self)

    @property
    def has_teacher(self) -> bool:
        """Whether a teacher was asked for, which then comes before labels that are stored with a set."""
        return self.teacher != Inputs.teacher and not self.is_teacherless

    @property
    def is_teacherless(self) -> bool:
        """Whether no teacher is to be looked for."""
        return str(self.teacher) == TEACHERLESS


def make_student(model: str, method: str, distilled: DistilledSet, options: str | None = None) -> Model:
    """A student of a method's set, with `student_options`. Raises: GiftError if one is unknown or does not fit."""
    size, channels = distilled.images.shape[1], distilled.images.shape[3]
    return get_model(ModelSpec(model, distilled.num_classes, size, channels, student_options(model, method, options)))


def student_options(model: str, method: str, options: str | None) -> Options:
    """Options of a method's student: the method's own if it is a ConvNet, and over them those given."""
    own = {"norm": "instance"} if method in INSTANCE_NORM and model in CONVNETS else {}
    return tuple(sorted({**own, **dict(parse_options(options or "", "--student-options"))}.items()))


def usual_spec(inputs: Inputs, model: str | None = None, options: Options = ()) -> ModelSpec:
    """A network for the dataset's usual images, with which options are checked before a set or teacher is there."""
    data, name = get_dataset(inputs.dataset), model or inputs.model
    return ModelSpec(name, data.num_classes, data.input_size(name), data.channels, options)


def check_size(teacher: Teacher | None, distilled: DistilledSet, place: Path) -> None:
    """Raises: GiftError if a teacher takes images of another size than the set's. Args: place, where it was found."""
    size = distilled.images.shape[1]
    if teacher and (takes := teacher.info.image_size) != size:
        raise GiftError(
            f"{place}: takes images of {takes} pixels, but the set's are {size}; resize the set's images to "
            f"{takes} pixels before it is converted, or give a teacher of {size} pixels (convert teacher --image-size)"
        )


def load_test(inputs: Inputs, distilled: DistilledSet) -> EvaluationSet:
    """The test images as students of a set see them. Raises: GiftError about what is missing."""
    source, size = find_images(inputs.data, inputs.dataset, "val", "--data"), distilled.images.shape[1]
    found = load_evaluation(inputs.dataset, image_size=size, source=source, class_order=inputs.class_order)
    return as_students_see(inputs, distilled, found)


def load_validation(inputs: Inputs, distilled: DistilledSet) -> EvaluationSet | None:
    """Real training images, evenly chosen, as students see test images; None if there are none. Raises: GiftError."""
    if (source := known_images(inputs.train_data, inputs.dataset, "train")) is None:
        return None
    real = open_real(inputs.dataset, source, distilled.images.shape[1], inputs.class_order)
    rows = np.arange(0, len(real.labels), -(-len(real.labels) // VALIDATION_IMAGES))
    return as_students_see(inputs, distilled, real.part(rows).as_test_images())


def warn_if_test_images(validation: EvaluationSet, test: EvaluationSet) -> None:
    """Say if most of the images that choose learning rates are test images, as their middle rows tell."""
    ours, theirs = ({row.tobytes() for row in one.images[:, one.images.shape[1] // 2]} for one in (validation, test))
    if len(ours & theirs) > len(ours) / 2:
        print("warning: --train-data holds the test images, so rates are chosen on them; give others", file=sys.stderr)


def as_students_see(inputs: Inputs, distilled: DistilledSet, images: EvaluationSet) -> EvaluationSet:
    """Real images, whitened if the set is. Raises: GiftError if training images to fit that on are missing."""
    if distilled.pixel_space != "zca":
        return images
    return whiten(images, find_whitening(inputs, distilled.images.shape[1]))


def find_whitening(inputs: Inputs, size: int) -> ZCA:
    """The whitening of the real training images: fitted in one pass, and kept in the cache."""
    source = find_training(inputs)
    training = load_training(inputs.dataset, image_size=size, source=source, class_order=inputs.class_order)
    transform = make_transform(get_dataset(inputs.dataset), size)
    key = fingerprint({"images": training.digest, "transform": str(transform)})
    path = cache_directory("zca") / f"{inputs.dataset}_{size}_{key}.safetensors"
    if path.is_file():
        return load_zca(path)
    zca = fit_zca((images for images, _ in training.batches), total=len(training.labels))
    save_zca(path, zca)
    return zca


def find_training(inputs: Inputs) -> str | None:
    """The source of the real training images; None for the digits. Raises: GiftError if it is missing."""
    tfds = inputs.data if (inputs.data or "").partition(":")[0] == "tfds" else None  # which holds both splits
    return find_images(inputs.train_data or tfds, inputs.dataset, "train", "--train-data")


def load_real(inputs: Inputs, image_size: int) -> RealImages:
    """The images that the digits' sets are made from, or those of --train-data. Raises: GiftError if it is missing."""
    if inputs.dataset == DIGITS:
        return training_digits()
    return open_real(inputs.dataset, find_training(inputs), image_size, inputs.class_order)


def check_alike(sets: Iterable[DistilledSet]) -> None:
    """Raises: GiftError if sets cannot share test images."""
    kinds = {f"{list(one.images.shape[1:])}{', whitened' * (one.pixel_space == 'zca')}" for one in sets}
    if len(kinds) > 1:
        raise GiftError(f"--methods mixes sets of images {' and '.join(sorted(kinds))}; study them apart")
