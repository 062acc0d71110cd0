"""A teacher from scratch: trained, written like a converted one, loaded, and given to PyTorch."""

import json
import sys

import numpy as np
import pytest
import torch

from convert.export import export
from convert.families import find_family
from convert.teacher import make_reference
from experiments import train_teacher
from gift_jax import cli, load_teacher
from gift_jax.data.evaluation import load_digits_test
from gift_jax.data.pixels import to_input


@pytest.fixture
def train(monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train_teacher", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.run(train_teacher.main, program="train_teacher")
        output = capfd.readouterr()
        return stopped.value.code or 0, output.out, output.err

    return run


def test_a_teacher_of_the_digits_is_trained_loaded_and_exported(train, tmp_path):
    out = tmp_path / "teacher"
    options = ("--epochs", 6, "--batch-size", 64, "--learning-rate", 0.05, "--schedule", "cosine", "--no-flip")
    status, printed, err = train("--dataset", "digits", "--model", "conv2", *options, "--out", out)
    assert status == 0, err
    [row] = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert row["top1_last"] > 85
    assert f"top-1 {row['top1_last']:.2f} % on 602 test images" in printed
    assert " for 1 student of 6 epochs" in printed
    teacher, digits = load_teacher(out), load_digits_test()
    assert teacher.info.verification is None
    images = np.asarray(to_input(digits.images, "raw", teacher.info.normalisation))
    logits = np.asarray(teacher.logits(images))
    assert 100 * (logits.argmax(1) == digits.labels).mean() == pytest.approx(row["top1_last"])
    export(out, tmp_path / "t.pth")
    state = torch.load(tmp_path / "t.pth", weights_only=True)["model"]
    module = make_reference(find_family("conv2"), teacher.info.spec, state).eval()
    with torch.inference_mode():
        theirs = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(logits, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--dataset", "cifar10", "--model", "conv3"),
            "cifar10 are missing (https://www.cs.toronto.edu/~kriz/cifar.html); give --test-data DIRECTORY",
        ),
        (("--dataset", "digits", "--model", "conv33"), "model 'conv33' is unknown"),
        (("--dataset", "digits", "--model", "conv2", "--epochs", 0), "epochs must be 1 or more"),
    ],
)
def test_mistakes_are_one_sentence(arguments, message, train, tmp_path):
    status, _, err = train(*arguments, "--out", tmp_path / "out" / "t")
    assert (status, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_images_that_do_not_fit_are_refused(monkeypatch, train, tmp_path):
    monkeypatch.setattr(train_teacher, "LARGEST", 1000)
    status, _, err = train("--dataset", "digits", "--model", "conv2", "--out", tmp_path / "t")
    assert status == 2
    assert "the training images of digits take" in err
