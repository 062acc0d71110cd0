"""Every study on the digits, in small, to its report; parts, reruns and joined reports."""

import dataclasses
import json
import shlex
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from forms import short_form

from experiments import (
    ablation,
    benchmark,
    continual_learning,
    cross_architecture,
    cross_optimizer,
    evaluate,
    fidelity,
    label_quality,
    label_regimes,
    loss_comparison,
    quickstart,
    report,
)
from experiments.common import digits_setup
from experiments.common.set_making import METHODS
from experiments.common.study import load_digits, load_materials
from gift_jax import GiftError
from gift_jax.runtime.options import read_seeds
from gift_jax.studies.results import read_results
from gift_jax.studies.tensorboard import make_writer

DOCUMENTED = Path(__file__).parents[3] / "docs" / "results"

SMALL = ("--epochs", 2, "--num-seeds", 2, "--ipc", 2)


# Options, how many results there are, and some headings of the report.
STUDIES = {
    fidelity: (
        "--deviations JPEG 'KL without T^2, SGD' 'whitened and normalised' 'untrained teacher'",
        16,
        ["Summary", "Ways of reporting"],
    ),
    loss_comparison: ("--losses gift kl --methods rded kmeans", 8, ["Differences"]),
    cross_optimizer: (
        "--losses gift kl_t2 --optimizers sgd schedule_free --rates 1 3",
        16,
        ["At the rate chosen on validation images", "Accuracy by learning rate"],
    ),
    cross_architecture: (
        "--losses gift ce --students conv1 conv2:norm=instance,width=3 --rates 1 3",
        16,
        ["At the rate chosen on validation images", "Accuracy by learning rate"],
    ),
    ablation: (
        "--optimizers sgd --weights 0 0.1 --smoothings 0 0.1 --temperatures 4 --kl-temperatures 1",
        20,
        ["Refinement weight and smoothing, sgd", "Logits or probabilities, sgd", "Temperature of KL, sgd"],
    ),
    continual_learning: (
        "--losses gift ce --steps 2",
        2 * 2 * 2,
        ["Protocol", "In 2 steps", "Differences of averages", "Forgetting"],
    ),
    label_quality: (
        "--losses ce gift --methods kmeans --real-epochs 1",
        2 * 2 * 2 * 2 + 2,
        ["Summary", "Shares of labels and images", "DD-Ranking's scores", "Without augmentation"],
    ),
    label_regimes: (
        "--epochs 3 --views 2 --score-epochs 2 --losses gift --subsets ccs",
        3 * 9 * 2 + 2 * 2 + 2,  # 20 images, 400 bytes: 400 more; a bank: all there are
        ["At equal label bytes", "The set and random images", "Labels under gift"],
    ),
}


@pytest.mark.parametrize("name", short_form([study.NAME for study in STUDIES], ("cross_optimizer",)))
def test_every_study_runs_to_its_report(name, succeed, save_random_teacher, tmp_path):
    [module] = [study for study in STUDIES if name == study.NAME]
    text, count, headings = STUDIES[module]
    options = ("--out", tmp_path, *SMALL, *shlex.split(text))
    save_random_teacher(tmp_path / "teacher")
    succeed(module, *options)
    assert len(read_results(tmp_path / "results.jsonl")) == count
    text = (tmp_path / "report.md").read_text()
    for heading in [*headings, "Training curves", "The distilled images", "Configuration"]:
        assert f"\n## {heading}" in text
    assert "n = 2" in text
    assert "± " in text
    assert not {"nan", "Incomplete"} & set(text.split())
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("results*")}
    succeed(module, *options)  # nothing is run again
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.glob("results*")}
    assert f"0 of {count} students to train" in succeed(module, *options, "--dry-run")
    succeed(report, tmp_path, "--out", tmp_path / "joined")
    assert f"\n## {headings[0]}" in (tmp_path / "joined" / "report.md").read_text()


@pytest.mark.exhaustive
def test_parts_are_joined_and_what_is_missing_is_named(succeed, save_random_teacher, tmp_path):
    pytest.importorskip("tensorboardX")
    save_random_teacher(tmp_path / "teacher")
    options = ("--out", tmp_path, *SMALL, "--losses", "gift", "kl", "--methods", "random", "herding")
    assert "8 of 8 students to train, 16 epochs, about" in succeed(loss_comparison, *options, "--dry-run")
    assert not (tmp_path / "results.jsonl").exists()
    for more in (("1/4", "--tensorboard"), ("2/4",), ("3/4",)):
        succeed(loss_comparison, *options, "--shard", *more)
    assert len(list(tmp_path.glob("tensorboard/*/events*"))) == 2
    rows = read_results(tmp_path / "results-1-of-4.jsonl")
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps({**row, "top1_last": 0.0}) + "\n" for row in rows[:1]))
    printed = succeed(report, tmp_path, other, "--out", tmp_path / "joined")
    assert "6 results of 2 runs; 1 contradiction" in printed
    assert "results-4-of-4.jsonl`: 2 of 2 students" in printed
    text = (tmp_path / "joined" / "report.md").read_text()
    assert "random, gift, seed 0: top1_last differ" in text
    assert "results-4-of-4.jsonl" in text.split("## Incomplete")[1]
    assert "- herding, kl\n" in text


def scalars(path):
    """(curve, value, epoch) of an event file: records of a length, its checksum, the message and its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, found = path.read_bytes(), []
    while data:
        [length] = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        found += [(value.tag, value.simple_value, event.step) for value in event.summary.value]
        data = data[16 + length :]
    return found


def test_cells_that_run_at_once_have_whole_event_files_of_their_own(tmp_path):
    pytest.importorskip("tensorboardX")
    log, figures = make_writer(tmp_path), [("loss", 1 / 2**epoch, epoch) for epoch in range(1, 40)]
    with log("gift, seed 0") as first, log("gift, seed 1") as second:
        for figure in figures:
            first(*figure)
            second(*figure)
    found = {path.parent.name: scalars(path) for path in tmp_path.glob("*/events*")}
    assert found == {"gift_seed_0": figures, "gift_seed_1": figures}


def test_without_tensorboardx_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(GiftError, match=r"gift-jax\[tensorboard\]"):
        make_writer(tmp_path)


def test_seeds_are_a_list_or_a_number_of_them_and_one_alone_is_read_as_before(capsys):
    study = loss_comparison.LossComparison
    assert study().seeds == study(num_seeds=5).seeds == (0, 1, 2, 3, 4)
    assert study(seeds=(7, 3)).seeds == (7, 3)
    assert dataclasses.replace(study(num_seeds=1), epochs=3).seeds == (0,)
    assert (read_seeds(["7", "3"]), read_seeds(["7,3"]), read_seeds(["0"])) == ((7, 3), (7, 3), (0,))
    assert capsys.readouterr().err == ""
    assert read_seeds(["2"]) == (0, 1)
    assert "--seeds 2 is read as --num-seeds 2" in capsys.readouterr().err
    with pytest.raises(GiftError, match="seeds"):
        study(seeds=(3, 3))


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (loss_comparison, ("--loss", "gfit"), "--losses: 'gfit' is unknown"),
        (loss_comparison, ("--seeds", "one"), "--seeds takes numbers from 0, not 'one'"),
        (loss_comparison, ("--seeds", 0, 1, "--num_seeds", 2), "--seeds and --num-seeds are given; give one of them"),
        (loss_comparison, ("--losses", "kl", "--loss=gift"), "--losses and --loss are one option"),
        (evaluate, ("--loss", "kl", "--criterion_name", "gift"), "--loss and --criterion-name are one option"),
        (quickstart, ("--num-seeds", 2, "--seeds", 3), "--num-seeds and --seeds are one option"),
        (loss_comparison, ("--methods", "sre2l"), "method 'sre2l' is unknown here"),
        (loss_comparison, ("--ipc", 500), "--ipc must be from 1 to"),
        (loss_comparison, ("--shard", "5/4"), "--shard '5/4' must be i/n"),
        (cross_optimizer, ("--rates", 0.1), "--rates must be above 0 and hold 1"),
        (fidelity, ("--deviations", "jpg"), "--deviations: 'jpg' is unknown"),
        (fidelity, ("--dataset", "cifar10"), "--dataset: deviations are measured on the digits only"),
        (cross_architecture, ("--students", "conv9"), "needs images of at least 512 pixels"),
        (continual_learning, ("--steps", 11), "--steps must be numbers from 2 to 10"),
        (label_quality, ("--methods", "random"), "random images are always compared with"),
        (label_quality, ("--losses", "gift"), "--losses must hold ce"),
        (label_quality, ("--lrs-weight", 2), "--lrs-weight must be from 0 to 1, not 2"),
        (report, (), "give directories or results.jsonl"),
        (report, ("nowhere",), "nowhere"),
        (ablation, ("--dataset", "cifar10"), "no rded set of cifar10"),
    ],
)
def test_mistakes_are_told_before_a_teacher_is_trained(module, options, message, refuse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(digits_setup, "run_convert", lambda *_: pytest.fail("trained"))
    if module is not report:
        options = ("--out", tmp_path, *options)
    assert message in refuse(module, *options)
    assert not list(tmp_path.glob("results*"))


@pytest.mark.parametrize("module", [evaluate, loss_comparison, benchmark, quickstart, report])
def test_nothing_is_written_into_a_teacher(module, refuse, tmp_path):
    (tmp_path / "teacher.json").touch()
    options = (DOCUMENTED / "ablation",) if module is report else ("--epochs", 1)
    options = ("--smallest-area", 0.5) if module is benchmark else options
    assert refuse(module, *options, "--out", tmp_path).endswith("holds a teacher; give another --out")
    assert [path.name for path in tmp_path.iterdir()] == ["teacher.json"]


def test_sets_are_made_of_training_digits_that_nothing_is_chosen_on(save_random_teacher, tmp_path):
    save_random_teacher(tmp_path / "teacher")
    digits = load_digits(tmp_path, 3, METHODS)
    unseen = {image.tobytes() for part in (digits.validation_set, digits.evaluation_set) for image in part.images}
    for method, distilled in digits.sets.items():
        assert (distilled.method, distilled.images.shape, distilled.ipc) == (method, (30, 8, 8, 1), 3)
        assert (distilled.labels == np.repeat(np.arange(10), 3)).all()
    for method in ("random", "herding"):
        assert not {image.tobytes() for image in digits.sets[method].images} & unseen


def reported(history, epochs):
    """The row of the table of ways of reporting, of a run of 50 % at the end."""
    looks = [{"epoch": epoch, "top1": top1} for epoch, top1 in history.items()]
    row = {"labels": {"side": "ours"}, "loss": "gift", "optimizer": "sgd", "recipe": {"loss_options": []}, "seed": 0}
    return fidelity.reporting([{**row, "epochs": epochs, "history": looks, "top1_last": 50.0}]).rows[-1]


def test_the_best_of_the_looks_that_each_author_takes():
    every = dict.fromkeys(range(1, 31), 40.0) | {13: 80.0, 20: 70.0, 26: 60.0, 21: 55.0, 30: 50.0}
    gained = ["+5.0", "+10.0", "+20.0", "+30.0"]  # of 7 14 21 28 30, 25-30, 10 20 30, all
    assert reported(every, 30) == ["gift, sgd", "1", "50.0", *gained, "-", "-"]
    four = {7: 50.5, 14: 40.0, 21: 40.0, 28: 40.0, 30: 50.0}
    assert reported(four, 30)[3:7] == ["+0.5", "-", "-", "-"]


def test_the_sets_of_deviations(save_random_teacher, tmp_path):
    save_random_teacher(tmp_path / "teacher")
    materials = load_materials(fidelity.Fidelity(out=tmp_path, ipc=3), ["rded"])
    made = {pixels: fidelity.cropped(materials, pixels) for pixels in ("whole", "floats", "cut")}
    whole, floats, cut = (changed.sets["rded"].images for changed in made.values())
    assert np.abs(whole / np.float32(255) - floats).max() <= 0.5 / 255 + 1e-6
    assert ((floats - cut / np.float32(255) >= -1e-6) & (floats - cut / np.float32(255) < 1 / 255 + 1e-6)).all()
    ordered, other = (fidelity.with_logits(materials, disordered=is_so).sets["rded"] for is_so in (False, True))
    assert not np.array_equal(ordered.soft_labels, other.soft_labels)
    np.testing.assert_array_equal(np.sort(ordered.soft_labels, axis=0), np.sort(other.soft_labels, axis=0))
    white, twice = (fidelity.whitened(materials, normalised=is_so) for is_so in (False, True))
    statistics = materials.teacher.info.normalisation
    again = twice.sets["rded"].images * np.float32(statistics.std) + np.float32(statistics.mean)
    np.testing.assert_allclose(again, white.sets["rded"].images, atol=1e-5)
    np.testing.assert_array_equal(twice.evaluation_set.images, white.evaluation_set.images)
