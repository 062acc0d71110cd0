"""Check whether a converted teacher scores what was published, and find out why if not.

Question: users of released teachers report 23 % instead of 50, or 0.5 instead of 40: their classes are in
another order, or their pixels are normalised otherwise (RDED's issues 3, 4, 6, 9, 10; no order is published for
ImageNet-10, -100, Nette and Woof). Command: `python -m experiments.teacher_check TEACHER --data DATA`.
Time: one pass over the evaluation set; where the score is too low, one more for every known normalisation.

Accuracy does not tell nearly equal normalisations apart, but a BatchNorm behind the first convolution does, by what it
has kept of the training images. Orders of classes are estimated on one half of the images and measured on the other.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import rich
import tyro
from rich.table import Table

from gift_jax import GiftError, Teacher
from gift_jax.data.datasets import Normalisation
from gift_jax.data.evaluation import EvaluationSet, load_evaluation
from gift_jax.models import get_model
from gift_jax.readers.classes import write_class_order
from gift_jax.runtime import cli
from gift_jax.runtime.devices import announce
from gift_jax.runtime.options import Dataset, NonNegative, Percent, Source
from gift_jax.teachers import diagnose
from gift_jax.teachers.published import ZOO
from gift_jax.teachers.teacher import load_weights, make_teacher

from .common.options import GROUPS, Images
from .common.sources import find_images, teacher_directory


@dataclasses.dataclass(frozen=True)
class TeacherCheck:
    """Measure a teacher's top-1 and top-5 against the published figure, and say why where it is far below.

    Args:
        teacher: directory that `convert teacher` wrote, or one of the Hub, also as hf://OWNER/NAME[@REVISION].
        dataset: what it was trained on, where a directory of the Hub does not tell.
        data: the evaluation set, a directory of class folders, `tfds` or `tfds:DIR`; not needed for the digits.
        class_order: file of class folders by class id.
        expected: top-1 in percent, if not one of the published teachers.
        margin: percentage points that are not far.
        write_class_order: file to write the order of classes that was found to.
    """

    GROUPS = GROUPS

    teacher: tyro.conf.Positional[Source]
    dataset: Dataset | None = None
    data: Images | None = None
    class_order: Source | None = None
    expected: Percent | None = None
    margin: NonNegative = 3.0
    write_class_order: Path | None = None


NOTHING = "no other known normalisation or order of the classes explains it"


class Explanation(NamedTuple):
    """The top-1 that a mend would give, the reason in words, and whose order of classes the mend takes."""

    top1: float
    reason: str
    order_of: diagnose.Finding | None = None


def explain(findings: Sequence[diagnose.Finding], margin: float, told: Normalisation | None = None) -> Explanation:
    """The simplest explanation within margin, in points, of the best. Args: told, the training's normalisation."""
    own, allowed = findings[0], [finding for finding in findings if told in (None, finding.normalisation)]
    pixels = max(allowed, key=lambda finding: finding.accuracy.top1)
    both = max(allowed, key=lambda finding: finding.reordered)
    order, otherwise = "its classes are in another order", f"as {pixels.name}: {pixels.accuracy.top1:.1f} %"
    order_and_pixels = f"{order} and its pixels are normalised as {both.name}: {both.reordered:.1f} %"
    candidates = (
        Explanation(own.accuracy.top1, NOTHING),
        Explanation(pixels.accuracy.top1, f"its pixels are normalised otherwise, {otherwise}; {conversion(pixels)}"),
        Explanation(own.reordered, f"{order}: {own.reordered:.1f} % in the best", own),
        Explanation(both.reordered, f"{order_and_pixels}; {conversion(both)}", both),
    )
    if told not in (None, own.normalisation):
        candidates = (candidates[1], candidates[3])
    best = max(candidate.top1 for candidate in candidates)
    return next(candidate for candidate in candidates if candidate.top1 >= best - margin)


def conversion(found: diagnose.Finding | diagnose.Counted) -> str:
    """How to convert the teacher with the normalisation of a finding."""
    mean, std = (" ".join(map(str, values)) for values in (found.normalisation.mean, found.normalisation.std))
    return f"convert it with --mean {mean} --std {std}"


def what_first_layer_tells(counted: Sequence[diagnose.Counted], told: diagnose.Counted | None) -> str:
    """Which normalisation the first BatchNorm has kept the statistics of, and at which distance."""
    own, nearest = counted[0], min(counted, key=lambda one: one.distance)
    if told is None:
        return f"no known normalisation gives them; {nearest.name} is nearest, {nearest.distance:.4f} away"
    if told is own:
        return f"its own normalisation gives them ({own.distance:.4f} away)"
    others = f"and not its own normalisation ({own.distance:.4f} away)"
    return f"{told.name} gives them ({told.distance:.4f} away), {others}: {conversion(told)}"


def main(config: TeacherCheck) -> None:
    """Measure, compare, explain."""
    announce()
    info, params, batch_stats = load_weights(teacher_directory(config.teacher, config.dataset))
    if config.dataset not in (None, info.dataset):
        raise GiftError(f"{config.teacher}: was trained on {info.dataset}, but --dataset is {config.dataset}; drop it")
    teacher = make_teacher(info, params, batch_stats)
    source = find_images(config.data, info.dataset, "val", "--data")
    options = {"class_order": config.class_order, "preprocessing": info.preprocessing}
    evaluation_set = load_evaluation(info.dataset, image_size=info.image_size, source=source, **options)
    if own := info.preprocessing:
        print(f"test images as the teacher's own: crop_pct {own.crop_pct:g}, {own.interpolation}")
    published = ZOO.get(f"{info.dataset}_{info.architecture}")
    expected = published.top1 if published and config.expected is None else config.expected
    own = diagnose.examine(teacher, evaluation_set, "its own", info.normalisation)
    compared = "nothing to compare with" if expected is None else f"{expected:.2f} % expected"
    print(
        f"{info.architecture} of {info.dataset}: top-1 {own.accuracy.top1:.2f} %, top-5 {own.accuracy.top5:.2f} % on "
        f"{len(evaluation_set.labels)} images; {compared}"
    )
    weights = (get_model(info.spec), params, batch_stats)
    counted = diagnose.count_first_layer(*weights, evaluation_set.images, info.normalisation)
    told = diagnose.told_normalisation(counted)
    if counted:
        print(f"statistics of its first BatchNorm: {what_first_layer_tells(counted, told)}")
    if expected is not None and own.accuracy.top1 >= expected - config.margin:
        print("as expected")
        return
    reason = find_out(config, teacher, evaluation_set, told)
    if expected is not None:
        scores = f"scores {own.accuracy.top1:.1f} %, but {expected:.1f} % are expected"
        raise GiftError(f"{config.teacher}: {scores}: {reason}")
    print(reason.replace(NOTHING, "its normalisation and the order of its classes fit best as they are"))


def find_out(config: TeacherCheck, teacher: Teacher, tests: EvaluationSet, told: diagnose.Counted | None) -> str:
    """Diagnose, print the table, write the class order if it is asked for. Returns: the reason and the mend."""
    findings = diagnose.diagnose(teacher, tests)
    title = "Accuracy in percent; reordered classes were estimated on the other half of the images"
    table = Table("normalisation", "top-1", "top-5", "top-1, classes reordered", title=title, title_justify="left")
    for name, _, accuracy, reordered, _ in findings:
        table.add_row(name, f"{accuracy.top1:.2f}", f"{accuracy.top5:.2f}", f"{reordered:.2f}")
    rich.print(table)
    found = explain(findings, config.margin, told and told.normalisation)
    alike = [one.name for one in findings[1:] if abs(one.accuracy.top1 - findings[0].accuracy.top1) <= config.margin]
    if found.reason == NOTHING and told is None and alike:
        return (
            f"{NOTHING}; accuracy does not tell its normalisation from {', '.join(alike)}, nor does its first layer: "
            "if its source names one of them, convert it with that as --mean and --std"
        )
    if found.order_of is None:
        return found.reason
    if config.write_class_order is None:
        return f"{found.reason}; --write-class-order FILE writes that order, for --class-order"
    write_class_order(config.write_class_order, diagnose.class_order(found.order_of, tests.class_names))
    return f"{found.reason}; that order is in {config.write_class_order}, for --class-order"


if __name__ == "__main__":
    cli.run(main, program="python -m experiments.teacher_check")
