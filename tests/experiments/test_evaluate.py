"""The main experiment on the digits: every method's release, in the official directories, converted when needed."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest
import torch
from folders import write_tree
from forms import short_form
from PIL import Image
from setups import distilled_set, random_teacher

from convert.distilled import convert_distilled
from convert.families import find_family
from convert.request import Request
from experiments import evaluate, imagenet_ipc10
from experiments.common import inputs, sources
from gift_jax import GiftError
from gift_jax.data.digits import load_split
from gift_jax.data.zca import ZCA, fit_zca
from gift_jax.models import ModelSpec, get_model
from gift_jax.teachers.teacher import save_teacher

IPC = 2
CHOSEN = ("--dataset", "digits", "--model", "conv2", "--ipc", IPC)
SHORT = ("--epochs", 3, "--seeds", 0, "--batch-size", 10)


def chosen_digits():
    split = load_split()
    rows = np.concatenate([np.flatnonzero(split.train_labels == label)[:IPC] for label in range(10)])
    return split.train_images[rows]


def write_folders(directory, pattern, suffix):
    for row, image in enumerate(chosen_digits()):
        folder = directory / pattern.format(row // IPC)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / f"class_id{row % IPC:03d}.{suffix}", quality=100)


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


RELEASES = {
    "sre2l": lambda directory: write_folders(directory, "new{:03d}", "jpg"),
    "cda": lambda directory: write_folders(directory, "new{:05d}", "jpg"),
    "rded": write_data_pt,
    "gvbsm": lambda directory: write_folders(directory, "new{:03d}", "png"),
    "datm": write_datm,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The official directories: a teacher, and every method's set."""
    root = tmp_path_factory.mktemp("official")
    teachers = root / "data" / "pretrain_models"
    teachers.mkdir(parents=True)
    torch.manual_seed(0)
    module = find_family("conv2").reference(ModelSpec("conv2", 10, 8, 1))
    torch.save({"model": module.state_dict()}, teachers / "digits_conv2.pth")
    for method, write in RELEASES.items():
        write(root / "syn_data" / method / "digits_conv2" / f"ipc{IPC}")
    return root


@pytest.fixture
def run(place, monkeypatch, command):
    """Run `python -m experiments.evaluate` in the official directories: (status, standard output, standard error)."""

    def run(*arguments, module=evaluate):
        monkeypatch.chdir(place)
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        monkeypatch.setenv("COLUMNS", "200")
        return command(module, *arguments)

    return run


def test_students_learn_from_several_teachers(run, place, tmp_path):
    """conv1 beside conv2 in one directory: the mean of their logits, and a result of its own."""
    teachers = tmp_path / "teachers"
    for seed, model in enumerate(("conv1", "conv2")):
        info = dataclasses.replace(random_teacher().info, architecture=model)
        save_teacher(teachers / f"digits_{model}", info, *get_model(info.spec).init(jax.random.key(seed)))
    where = ("--method", "rded", *CHOSEN, *SHORT, "--teacher", teachers, "--out", tmp_path / "out")
    status, out, err = run(*where, "--teacher-models", "conv1", "conv2", "--teacher-weights", 1, 3)
    assert status == 0, err
    assert "under teacher conv1+conv2" in out
    [row] = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert row["teacher"] == "conv1+conv2"
    status, _, err = run(*where, "--teacher-models", "conv1", "conv2", "--teacher-weights", 1)
    assert (status, "2 teachers need as many weights above 0, not 1.0" in err) == (2, True)
    datm = (*where, "--method", "datm", "--teacher-models", "conv1", "conv2", "--dry-run")
    assert "under teacher conv1+conv2" in run(*datm)[1]  # although labels are stored with that set
    for extra, hint in (
        (("--teacher-weights", 1), "--teacher-weights are of --teacher-models; give these too"),
        (
            ("--teacher-models", "conv1", "--soft-labels", tmp_path),
            "--teacher-models and --soft-labels are given; give one",
        ),
        (("--teacher-models", "conv1", "--teacher", "none"), "--teacher-models and --teacher none are given; give one"),
    ):
        status, _, err = run(*where, *extra)
        assert (status, hint in err) == (2, True)
    status, _, err = run(*where, "--teacher-models", "conv1", "conv3")
    assert (status, "holds no teacher conv3 of digits" in err) == (2, True)


@pytest.mark.parametrize("method", short_form(RELEASES, ["rded", "datm"]))
def test_every_methods_release_is_converted_trained_on_and_tested(method, run, place, tmp_path):
    arguments = ("--method", method, *CHOSEN, *SHORT, "--criterion_name", "gift", "--out", tmp_path / "out")
    status, out, err = run(*arguments)
    assert status == 0, err
    [row] = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert (row["method"], row["dataset"], row["model"], row["loss"], row["ipc"]) == (
        method,
        "digits",
        "conv2",
        "gift",
        2,
    )
    assert row["teacher"] == (None if method == "datm" else "conv2")
    assert row["student"]["options"] == ([["norm", "instance"]] if method == "datm" else [])
    assert row["recipe"]["epochs"] == 3
    assert f"top-1 {row['top1_last']:.2f} % after the last epoch" in out
    assert "GiB on the device while training" in out
    assert re.search(r"^time: \S+ s an epoch with its evaluation, about \S+ s left for 3 epochs$", out, re.M)
    if method == "rded":  # once converted, it is taken from the cache; another student, and a dry run
        other = ["conv1" if word == "conv2" else word for word in arguments]
        where = ("--distilled", f"syn_data/rded/digits_conv2/ipc{IPC}")
        status, out, _ = run(*other, *where, "--tar_model", "conv2", "--dry-run")
        assert (status, out.count("converted before")) == (0, 2)
        assert "conv1 (8 pixels) under teacher conv2" in out
        _, _, err = run(*other, *where, "--tar_model", "conv2", "--dry-run", "--train-data", ".")
        assert "warning: --train-data is read for whitened sets only" in err
        assert "nothing was trained" in out
        assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 1
        # What is finished is not repeated; a further seed, on two devices, is added.
        status, out, err = run(*arguments, "--seeds", 0, 1, "--devices", 2)
        assert status == 0, err
        assert "seed 0: finished before" in out
        assert "n = 2" in out
        rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
        assert [row["seed"] for row in rows] == [0, 1]
        assert not (tmp_path / "out" / "checkpoints").exists()
        # Other settings in the same directory are other rows, and another run's checkpoints are left alone.
        (unfinished := tmp_path / "out" / "checkpoints" / "another").mkdir(parents=True)
        status, _, err = run(*arguments, "--learning-rate", 0.01)
        assert status == 0, err
        assert unfinished.is_dir()
        rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
        assert [row["recipe"]["optimizer"]["learning_rate"] for row in rows] == [0.001, 0.001, 0.01]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--method", "rded", "--dataset", "digits", "--model", "conv2", "--ipc", 50),
            "run `python -m experiments.distill_rded",
        ),
        (("--method", "rded", "--dataset", "digits", "--model", "conv3", "--ipc", 10), "no rded set of digits with 10"),
        (("--method", "rdde", *CHOSEN), "no rdde set of digits"),
        (("--method", "rded", *CHOSEN, "--criterion_name", "gfit"), "--loss: 'gfit' is unknown"),
        (("--method", "rded", *CHOSEN, "--recipe", "rdde"), "--recipe: 'rdde' is unknown"),
        (("--method", "rded", *CHOSEN, "--optimizer", "sdg"), "optimizer 'sdg' is unknown"),
        (("--method", "rded", *CHOSEN, "--learning-rate", -1), "--learning-rate must be 0 or more, not -1"),
        (("--method", "none", *CHOSEN, "--tar_model", "conv33"), "--tar-model: 'conv33' is unknown"),
        (("--method", "rded", *CHOSEN, "--tar_model", "conv2", "--teacher", "none"), "--teacher none takes none"),
        (("--method", "none", "--dataset", "imagenet", "--model", "conv3"), "dataset 'imagenet' is unknown"),
        (("--method", "rded", *CHOSEN, "--teacher", "nowhere"), "nowhere: "),
        (("--method", "rded", *CHOSEN, "--ipc", 0), "--ipc must be 1 or more"),
        (("--method", "rded", *CHOSEN, "--seeds", 0, 0), "--seeds 0 0: give each seed once"),
        (("--method", "rded", *CHOSEN, "--student-options", "norm"), "--student-options 'norm' must be name=value,..."),
        (
            ("--method", "rded", *CHOSEN, "--student-options", "norm=instanse"),
            "norm 'instanse' is unknown; choose one of",
        ),
        (("--method", "none", *CHOSEN, "--devices", 99), "--devices must be from 1 to "),
        (("--method", "none", *CHOSEN, "--save-minutes", -1), "minutes must be 0 or more"),
        (("--method", "rded", *CHOSEN, "--hosts"), "--hosts: the other processes could not be joined"),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence(arguments, message, run):
    status, _, err = run(*arguments)
    last = err.strip().splitlines()[-1]
    assert status == 2
    assert last.startswith("error: ")
    assert message in last


@pytest.mark.parametrize(
    ("method", "dataset", "ipc", "mirror"),
    [
        ("sre2l", "imagenet-1k", 50, "imagenet-sre2l-ipc-50 has one"),
        ("lpld", "imagenet-1k", 10, "imagenet-lpld-ipc-10 has one"),
        ("sre2l", "imagenet-1k", 200, None),
        ("sre2l", "cifar10", 10, None),
        ("datm", "imagenet-1k", 10, None),
        ("lpld", "cifar10", 10, None),
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
    message = (
        "takes images of 8 pixels, but the set's are 16; resize the set's images to 8 pixels before it is converted"
    )
    with pytest.raises(GiftError, match=message):
        evaluate.load_task(evaluate.Evaluate(dataset="digits", model="conv2"))


def test_dsas_file_is_evaluated_by_dsas_recipe_without_a_teacher(run, place, tmp_path):
    """`{"data": [[images, labels], ...]}`, normalised, as the DC family releases its sets."""
    images = (chosen_digits().transpose(0, 3, 1, 2) / np.float32(255) - 0.5) / np.float32(0.25)
    pair = [torch.from_numpy(images), torch.arange(10).repeat_interleave(IPC)]
    torch.save({"data": [pair, pair], "accs_all_exps": {}}, tmp_path / "res_DSA_digits_ConvNet_2ipc.pt")
    source, out = tmp_path / "res_DSA_digits_ConvNet_2ipc.pt", tmp_path / "dsa.safetensors"
    convert_distilled(Request(source, "dsa", "digits", out, pixel_space="normalised", mean=(0.5,), std=(0.25,)))
    options = ("--recipe", "dsa", "--distilled", tmp_path / "dsa.safetensors", "--out", tmp_path / "out")
    status, out, err = run("--method", "dsa", *CHOSEN, *SHORT, *options)
    assert status == 0, err
    assert "conv2 (8 pixels, norm instance) under the set's labels" in out
    assert "mean 0.5, std 0.25 (the set's own), test images too" in out
    [row] = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert (row["loss"], row["teacher"], row["optimizer"]) == ("ce", None, "sgd")
    assert row["recipe"]["normalisation"] == {"mean": [0.5], "std": [0.25]}


def test_results_that_cannot_be_written_are_refused_before_training(run, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(evaluate, "run_students", lambda *_: pytest.fail("trained"))
    status, _, err = run("--method", "rded", *CHOSEN, *SHORT, "--out", tmp_path / "file" / "out")
    assert status == 2
    assert err.splitlines()[-1].startswith(f"error: {tmp_path}/file/out: ")


def test_a_whitening_is_of_training_images_and_of_the_ones_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
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


def test_imagenet_without_data_says_what_to_do(run):
    status, _, err = run("--dry-run", module=imagenet_ipc10)
    assert status == 2
    assert "no rded set of imagenet-1k with 10 images per class here (its authors release none" in err
    assert "run `python -m experiments.distill_rded --teacher TEACHER --ipc 10 --out syn_data" in err
