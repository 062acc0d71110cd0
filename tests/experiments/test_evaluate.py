"""The main experiment on the digits: releases in the official directories, converted when needed."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from folders import write_tree
from setups import distilled_set, random_teacher

from convert.distilled import convert_distilled
from convert.families import find_family
from convert.request import Request
from experiments import evaluate
from experiments.common import inputs, sources
from gift_jax import GiftError
from gift_jax.data.digits import load_split
from gift_jax.data.zca import ZCA, fit_zca
from gift_jax.models import ModelSpec
from gift_jax.studies.results import read_results

IPC = 2
CHOSEN = ("--dataset", "digits", "--model", "conv2", "--ipc", IPC)
SHORT = ("--epochs", 3, "--seeds", 0, "--batch-size", 10)
FIELDS = """method dataset model teacher loss optimizer ipc seed epochs recipe versions device
            top1_last top1_best top5_last train_seconds images_per_second"""  # that outside code may rely on


def chosen_digits():
    split = load_split()
    rows = np.concatenate([np.flatnonzero(split.train_labels == label)[:IPC] for label in range(10)])
    return split.train_images[rows]


def write_datm(directory):
    """Whitened images and logits, as the learned ones are."""
    directory.mkdir(parents=True)
    zca = fit_zca([load_split().train_images])
    white = zca.whiten(chosen_digits()).transpose(0, 3, 1, 2)
    torch.save(torch.from_numpy(white.copy()), directory / "images_best.pt")
    torch.save(4 * torch.eye(10).repeat_interleave(IPC, 0), directory / "labels_best.pt")
    torch.save(torch.tensor(0.05), directory / "lr_best.pt")


def write_data_pt(directory):
    directory.mkdir(parents=True)
    images = torch.from_numpy(chosen_digits().transpose(0, 3, 1, 2) / np.float32(255))
    labels = torch.arange(10).repeat_interleave(IPC)
    torch.save({"dataset": "digits", "data": images, "label": labels}, directory / "data.pt")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The official directories: a teacher, a set of pixels, and one that is whitened and labelled."""
    root = tmp_path_factory.mktemp("official")
    teachers = root / "data" / "pretrain_models"
    teachers.mkdir(parents=True)
    torch.manual_seed(0)
    module = find_family("conv2").reference(ModelSpec("conv2", 10, 8, 1))
    torch.save({"model": module.state_dict()}, teachers / "digits_conv2.pth")
    for method, write in (("rded", write_data_pt), ("datm", write_datm)):
        write(root / "syn_data" / method / "digits_conv2" / f"ipc{IPC}")
    return root


@pytest.fixture
def official(place, monkeypatch):
    """Be in the official directories, with what was converted there before."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("official")
def test_students_learn_from_several_teachers(succeed, refuse, save_random_teacher, tmp_path):
    """conv1 beside conv2 in one directory: the mean of their logits, and a result of its own."""
    teachers = tmp_path / "teachers"
    for model in ("conv1", "conv2"):
        save_random_teacher(teachers / f"digits_{model}", architecture=model)
    where = ("--method", "rded", *CHOSEN, *SHORT, "--teacher", teachers, "--out", tmp_path / "out")
    both = ("--teacher-models", "conv1", "conv2")
    assert "under teacher conv1+conv2" in succeed(evaluate, *where, *both, "--teacher-weights", 1, 3)
    [row] = read_results(tmp_path / "out" / "results.jsonl")
    assert row["teacher"] == "conv1+conv2"
    datm = (*where, "--method", "datm", *both, "--dry-run")
    assert "under teacher conv1+conv2" in succeed(evaluate, *datm)  # although labels are stored with that set
    for extra, hint in (
        ((*both, "--teacher-weights", 1), "2 teachers need as many weights above 0, not 1.0"),
        (("--teacher-weights", 1), "--teacher-weights are of --teacher-models; give these too"),
        (("--teacher-models", "conv1", "--soft-labels", tmp_path), "and --soft-labels are given; give one"),
        (("--soft-labels", tmp_path), "--soft-labels and --teacher are given"),
        (("--teacher-models", "conv1", "--teacher", "none"), "--teacher-models and --teacher none are given; give one"),
        (("--teacher-models", "conv1", "conv3"), "holds no teacher conv3 of digits"),
    ):
        assert hint in refuse(evaluate, *where, *extra)


@pytest.mark.parametrize("method", ["rded", "datm"])
@pytest.mark.usefixtures("official")
def test_a_release_is_converted_trained_on_and_tested(method, command, succeed, tmp_path):
    arguments = ("--method", method, *CHOSEN, *SHORT, "--criterion_name", "gift", "--out", tmp_path / "out")
    out = succeed(evaluate, *arguments)
    [row] = read_results(tmp_path / "out" / "results.jsonl")
    assert row.keys() >= set(FIELDS.split())
    named = [row[name] for name in ("method", "dataset", "model", "loss", "ipc")]
    assert named == [method, "digits", "conv2", "gift", 2]
    assert row["teacher"] == (None if method == "datm" else "conv2")
    assert row["student"]["options"] == ([["norm", "instance"]] if method == "datm" else [])
    assert row["recipe"]["epochs"] == 3
    assert f"top-1 {row['top1_last']:.2f} % after the last epoch" in out
    assert "GiB on the device while training" in out
    if method == "rded":  # once converted, it is taken from the cache; another student, and a dry run
        other = ["conv1" if word == "conv2" else word for word in arguments]
        where = ("--distilled", f"syn_data/rded/digits_conv2/ipc{IPC}")
        dry = (*other, *where, "--tar_model", "conv2", "--dry-run")
        out = succeed(evaluate, *dry)
        assert out.count("converted before") == 2
        assert "conv1 (8 pixels) under teacher conv2" in out
        assert "nothing was trained" in out
        assert re.search(r"1 of 1 students to train, 3 epochs, about \S+ \w+ \(measured", out)
        assert "warning: --train-data is read for whitened sets only" in command(evaluate, *dry, "--train-data", ".")[2]
        assert len(read_results(tmp_path / "out" / "results.jsonl")) == 1
        # What is finished is not repeated; a further seed, on two devices, is added.
        out = succeed(evaluate, *arguments, "--seeds", 0, 1, "--devices", 2)
        assert "seed 0: finished before" in out
        assert "n = 2" in out
        rows = read_results(tmp_path / "out" / "results.jsonl")
        assert [row["seed"] for row in rows] == [0, 1]
        assert not (tmp_path / "out" / "checkpoints").exists()
        # Other settings in the same directory are other rows, and another run's checkpoints are left alone.
        (unfinished := tmp_path / "out" / "checkpoints" / "another").mkdir(parents=True)
        succeed(evaluate, *arguments, "--learning-rate", 0.01)
        assert unfinished.is_dir()
        rows = read_results(tmp_path / "out" / "results.jsonl")
        assert [row["recipe"]["optimizer"]["learning_rate"] for row in rows] == [0.001, 0.001, 0.01]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "rded", *CHOSEN, "--ipc", 50), "run `python -m experiments.distill_rded --teacher TEACHER"),
        (("--method", "rded", *CHOSEN, "--model", "conv3", "--ipc", 10), "no rded set of digits with 10"),
        (("--method", "rdde", *CHOSEN), "no rdde set of digits"),
        (("--method", "rded", *CHOSEN, "--recipe", "rdde"), "--recipe: 'rdde' is unknown"),
        (("--method", "rded", *CHOSEN, "--tar_model", "conv2", "--teacher", "none"), "--teacher none takes none"),
        (("--method", "none", "--dataset", "imagenet", "--model", "conv3"), "dataset 'imagenet' is unknown"),
        (("--method", "rded", *CHOSEN, "--teacher", "nowhere"), "nowhere: "),
        (("--method", "rded", *CHOSEN, "--seeds", 0, 0), "--seeds 0 0: give each seed once"),
        (("--method", "none", *CHOSEN, "--devices", 99), "--devices must be from 1 to "),
        (("--method", "none", *CHOSEN, "--save-minutes", -1), "minutes must be 0 or more"),
        (("--method", "rded", *CHOSEN, "--hosts"), "--hosts: the other processes could not be joined"),
    ],
)
@pytest.mark.usefixtures("official")
def test_what_is_missing_or_wrong_is_one_sentence(arguments, message, refuse):
    assert message in refuse(evaluate, *arguments)


@pytest.mark.parametrize(
    ("method", "dataset", "ipc", "mirror"),
    [
        ("sre2l", "imagenet-1k", 50, "imagenet-sre2l-ipc-50 has one"),
        ("sre2l", "imagenet-1k", 200, None),
        ("sre2l", "cifar10", 10, None),
        ("datm", "imagenet-1k", 10, None),
        ("mine", "imagenet-1k", 10, None),
    ],
)
def test_a_mirror_is_named_only_for_sets_that_it_has(method, dataset, ipc, mirror):
    place = sources.published(method, dataset, ipc)
    assert mirror in place if mirror else "he-yang" not in place


def test_a_teacher_of_another_size_is_told_with_a_mend(monkeypatch):
    larger = distilled_set(images=np.zeros((22, 16, 16, 1), np.uint8))
    monkeypatch.setattr(evaluate, "find_distilled", lambda *_: larger)
    monkeypatch.setattr(evaluate, "find_teacher", lambda *_: random_teacher())
    mend = "resize the set's images to 8 pixels before it is converted"
    with pytest.raises(GiftError, match=f"takes images of 8 pixels, but the set's are 16; {mend}"):
        evaluate.load_task(evaluate.Evaluate(dataset="digits", model="conv2"))


@pytest.mark.usefixtures("official")
def test_dsas_file_is_evaluated_by_dsas_recipe_without_a_teacher(succeed, tmp_path):
    """`{"data": [[images, labels], ...]}`, normalised, as the DC family releases its sets."""
    images = (chosen_digits().transpose(0, 3, 1, 2) / np.float32(255) - 0.5) / np.float32(0.25)
    pair = [torch.from_numpy(images), torch.arange(10).repeat_interleave(IPC)]
    torch.save({"data": [pair, pair], "accs_all_exps": {}}, tmp_path / "res_DSA_digits_ConvNet_2ipc.pt")
    source, out = tmp_path / "res_DSA_digits_ConvNet_2ipc.pt", tmp_path / "dsa.safetensors"
    convert_distilled(Request(source, "dsa", "digits", out, pixel_space="normalised", mean=(0.5,), std=(0.25,)))
    options = ("--recipe", "dsa", "--distilled", tmp_path / "dsa.safetensors", "--out", tmp_path / "out")
    out = succeed(evaluate, "--method", "dsa", *CHOSEN, *SHORT, *options)
    assert "conv2 (8 pixels, norm instance) under the set's labels" in out
    assert "mean 0.5, std 0.25 (the set's own), test images too" in out
    [row] = read_results(tmp_path / "out" / "results.jsonl")
    assert (row["loss"], row["teacher"], row["optimizer"]) == ("ce", None, "sgd")
    assert row["recipe"]["normalisation"] == {"mean": [0.5], "std": [0.25]}


@pytest.mark.usefixtures("official")
def test_results_that_cannot_be_written_are_refused_before_training(refuse, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(evaluate, "run_students", lambda *_: pytest.fail("trained"))
    sentence = refuse(evaluate, "--method", "rded", *CHOSEN, *SHORT, "--out", tmp_path / "file" / "out")
    assert sentence.startswith(f"error: {tmp_path}/file/out: ")


def test_a_whitening_is_of_training_images_and_of_the_ones_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted = []

    def fit(batches, total):
        fitted.append(np.concatenate(list(batches)).mean())
        return ZCA(np.full(3, fitted[-1], np.float32), np.eye(3, dtype=np.float32), 3)

    monkeypatch.setattr(inputs, "fit_zca", fit)
    names = [f"{label:05d}" for label in range(10)]
    sets = [write_tree(tmp_path / name, names, per_class=count) for name, count in (("val", 1), ("a", 2), ("b", 3))]
    config = inputs.Inputs("cifar10", "conv3", data=str(sets[0]))
    with pytest.raises(GiftError, match=r"the training images of cifar10 are missing .* give --train-data DIRECTORY"):
        inputs.find_whitening(config, 32)
    for source in (*sets[1:], *sets[1:]):
        zca = inputs.find_whitening(dataclasses.replace(config, train_data=str(source)), 32)
        assert zca.mean[0] == np.float32(fitted[sets.index(source) - 1])
    assert len(fitted) == 2
    assert fitted[0] != fitted[1]
