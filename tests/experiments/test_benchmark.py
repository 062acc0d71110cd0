"""Fashion-MNIST and CIFAR-10 from their files to the report, in small; what is refused, and what a dry run says."""

import re
import tarfile

import numpy as np
import pytest
from PIL import Image
from sources import CIFAR10, write_mnist

from experiments import benchmark, report
from experiments.benchmark.cells import QUESTIONS
from experiments.benchmark.setup import FASHION, HELD_OUT, Benchmark, teacher_config
from experiments.common.real_images import hold_out
from gift_jax.studies.results import read_results

TINY = (
    *("--width", 2, "--ipc", 2, "--sizes", 1, 2, "--losses", "ce", "kl_t2", "gift", "--fewer-losses", "ce", "gift"),
    *("--optimizers", "sgd", "adamw", "--students", "conv1", "--sgd-rates", 1, 10, "--adam-rates", 1, 3, "--steps", 2),
    *("--teacher-epochs", 1, "--long-steps", 4, "--num-seeds", 2, "--rival-seeds", 3, "--other-seeds", 2),
)
SECTIONS = (
    *("Summary", "Differences", "Compared with published results", "Images, labels and sizes", "Gradients and rates"),
    *("Students", "Refinement", "Longer training", "Augmentation", "The chosen rates", "The teacher"),
    "The distilled images",
)


def cells_by_setting(rows, view):
    """The headline's students at one rate, by loss and optimizer."""
    found = {}
    for row in rows:
        if row["labels"].get("view") == view:
            found.setdefault((row["labels"]["loss"], row["labels"]["optimizer"]), set()).add(row["cell"])
    return found


@pytest.mark.exhaustive
def test_idx_files_become_a_report(succeed, refuse, tmp_path):
    write_mnist(tmp_path / "idx", 120)
    out = tmp_path / "run"
    options = (benchmark, "--data", tmp_path / "idx", "--out", out, *TINY)
    printed = succeed(*options, "--dry-run")
    assert "a dry run: " in printed
    assert "the teacher: " in printed
    assert not (out / "teacher").exists()
    succeed(*options)
    text = (out / "report.md").read_text()
    for heading in SECTIONS:
        assert f"\n## {heading}\n" in text
    assert not re.search("Not run|Failed", text)
    rows = read_results(out / "results.jsonl")
    counts = {
        name: sum(row["labels"]["question"] == name for row in rows) for name in FASHION["stages"] if name in QUESTIONS
    }
    # 3 losses x 2 optimizers: 2 rates; 2 seeds customary, 3 tuned, for 2 rivals are all that there are.
    students = {view: cells_by_setting(rows, view) for view in ("customary", "tuned")}
    same = [setting for setting, cells in students["tuned"].items() if cells & students["customary"][setting]]
    assert all(students["customary"][setting] == students["tuned"][setting] for setting in same)
    assert counts == {
        "search": 12, "headline": 6 * 5 + len(same), "sizes": 2 * 3 * (2 + 3), "students": 4, "refinement": 14,
        "length": 3 * (2 + 2 * (3 if "`kl_t2`, its strongest" in text else 2)),
        "augmentation": 8, "gradient": 6,
    }  # fmt: skip
    searched = {row["seed"] for row in rows if row["labels"]["question"] == "search"}
    told = {row["seed"] for row in rows if row["labels"]["question"] != "search"}
    assert not searched & told
    before = (out / "results.jsonl").read_bytes()
    succeed(*options)
    assert (out / "results.jsonl").read_bytes() == before
    assert "nothing to run" in succeed(*options, "--dry-run")
    succeed(report, out, "--out", tmp_path / "joined")
    assert "\n## Differences\n" in (tmp_path / "joined" / "report.md").read_text()
    assert "holds runs of different settings" in refuse(*options, "--steps", 3, "--stages", "search", "report")
    assert "is a conv3 width=2 after 1 epochs, not a conv3 width=3" in refuse(*options, "--width", 3)


@pytest.fixture
def archive(tmp_path):
    """A tar.xz of tiny JPEGs, `train/CLASS/NNNN.jpg` and `test/CLASS/NNNN.jpg`."""
    rng, path = np.random.default_rng(0), tmp_path / "tiny.tar.xz"
    with tarfile.open(path, "w:xz") as tar:
        for split, count in (("train", 12), ("test", 2)):
            for name in map(bytes.decode, CIFAR10):
                (folder := tmp_path / "tiny" / split / name).mkdir(parents=True)
                for number in range(count):
                    Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{number:04}.jpg")
            tar.add(tmp_path / "tiny" / split, split)
    return path


@pytest.mark.exhaustive
def test_an_archive_of_cifar10_becomes_a_report_part_by_part(succeed, refuse, archive, tmp_path):
    out = tmp_path / "run"
    amounts = ("--width", 2, "--ipc", 2, "--sizes", 1, 2, "--teacher-epochs", 1, "--steps", 2, "--lengths", 1, 2)
    few = ("--num-seeds", 2, "--rival-seeds", 3, "--other-seeds", 1, "--long-seeds", 1, "--all-losses", "ce", "gift")
    options = (benchmark, "--dataset", "cifar10", "--data", archive, "--out", out, *amounts, *few)
    succeed(*options, "--stages", "primary", "report")
    text = (out / "report.md").read_text()
    assert "gift - kl: " in text
    assert "losses" in text.split("## Not run")[1]
    succeed(*options, "--stages", "losses", "epochs", "relabelled", "dc", "report")
    sentence = refuse(*options, "--teacher-epochs", 2, "--stages", "report")
    assert "is a conv3 width=2 after 1 epochs, not a conv3 width=2 after 2 epochs" in sentence
    rows = read_results(out / "results.jsonl")
    asked = [(row["labels"]["question"], row["labels"].get("ipc")) for row in rows]
    counts = {key: asked.count(key) for key in asked}
    assert counts == {("teacher", None): 1, ("primary", None): 6, ("losses", "1"): 4, ("losses", "2"): 4,
                      ("epochs", None): 4}  # fmt: skip
    assert {row["experiment"] for row in rows} == {"cifar10"}
    succeed(report, out, "--out", tmp_path / "joined")
    assert "| loss (n = 2 to 3) | 1 | 2 |" in (tmp_path / "joined" / "report.md").read_text()


@pytest.mark.parametrize(("dataset", "is_short"), [("fashion-mnist", True), ("cifar10", False)])
def test_a_dataset_has_defaults_of_its_own_and_any_other_the_official_regime(dataset, is_short, succeed):
    text = succeed(benchmark, "--dataset", dataset, "--help")
    assert f"runs/{dataset.replace('-', '_')}" in text
    assert ("(default: 200)" in text) == is_short


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "holds no files"),
        (("--num-seeds", 0), "--num-seeds must be 1 or more, not 0"),
        (("--sgd-rates", 10), "--sgd-rates must be above 0 and hold 1, the default rate"),
        (("--losses", "ce", "gfit"), "did you mean gift?"),
        (("--losses", "ce", "--fewer-losses", "ce"), "--losses must hold gift, --optimizers adamw"),
    ],
)
def test_mistakes_are_one_sentence(arguments, message, command, tmp_path):
    status, _, err = command(benchmark, "--data", tmp_path, "--out", tmp_path / "out", *arguments)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_no_set_holds_an_image_that_rates_are_chosen_on():
    held, kept = hold_out(60_000, HELD_OUT)
    assert (len(held), len(kept)) == (5_000, 55_000)
    assert not set(held) & set(kept)


def test_sets_of_other_images_are_not_taken(succeed, refuse, tmp_path):
    """Other images under the same labels, as after a new download into the same place."""
    write_mnist(tmp_path / "idx", 120, zipped=False)
    options = (benchmark, "--data", tmp_path / "idx", "--out", tmp_path / "run", *TINY, "--stages", "sets")
    succeed(*options)
    succeed(*options)
    images = tmp_path / "idx" / "train-images-idx3-ubyte"
    content = images.read_bytes()
    images.write_bytes(content[:16] + content[16:][::-1])
    assert "its sets and teacher are of other training images" in refuse(*options)


def test_the_literatures_width_and_a_teacher_that_follows_the_dataset():
    config = Benchmark(**FASHION)
    asked = teacher_config(config)
    assert (config.width, asked.model_options, asked.flip, asked.crop) == (128, "width=128", None, False)
