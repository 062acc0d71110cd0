"""Fashion-MNIST from IDX files to the report, in small; what is refused, and what a dry run says."""

import functools

import pytest
from sources import write_mnist

from experiments import benchmark, report
from experiments.benchmark.setup import Benchmark, held_out, teacher_config
from gift_jax.studies.results import read_results

TINY = (
    *("--width", 2, "--ipc", 2, "--sizes", 1, 2, "--losses", "ce", "kl_t2", "gift", "--fewer-losses", "ce", "gift"),
    *("--optimizers", "sgd", "adamw", "--students", "conv1", "--sgd-rates", 1, 10, "--adam-rates", 1, 3, "--steps", 2),
    *("--teacher-epochs", 1, "--long-steps", 4, "--num-seeds", 2, "--rival-seeds", 3, "--other-seeds", 2),
)
SECTIONS = [
    *("Summary", "Differences", "Compared with published results", "Images, labels and sizes", "Gradients and rates"),
    *(
        "Students",
        "Refinement",
        "Longer training",
        "Augmentation",
        "The chosen rates",
        "The teacher",
        "The distilled images",
    ),
]


@pytest.fixture
def fashion(command):
    return functools.partial(command, benchmark)


@pytest.fixture
def idx(tmp_path):
    write_mnist(tmp_path / "idx", 120)
    return tmp_path / "idx"


def cells_by_setting(rows, view):
    """The headline's students at one rate, by loss and optimizer."""
    found = {}
    for row in rows:
        if row["labels"].get("view") == view:
            found.setdefault((row["labels"]["loss"], row["labels"]["optimizer"]), set()).add(row["cell"])
    return found


@pytest.mark.exhaustive
def test_idx_files_become_a_report(fashion, command, idx, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "run"
    options = ("--data", idx, "--out", out, *TINY)
    status, printed, err = fashion(*options, "--dry-run")
    assert status == 0, err
    assert "a dry run: " in printed
    assert "the teacher: " in printed
    assert not (out / "teacher").exists()
    status, printed, err = fashion(*options)
    assert status == 0, err
    text = (out / "report.md").read_text()
    for heading in SECTIONS:
        assert f"\n## {heading}\n" in text
    assert "Not run" not in text
    assert "Failed" not in text
    rows = read_results(out / "results.jsonl")
    counts = {name: sum(row["labels"]["question"] == name for row in rows) for name in benchmark.QUESTIONS}
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
    status, _, err = fashion(*options)
    assert (status, (out / "results.jsonl").read_bytes()) == (0, before), err
    assert "nothing to run" in fashion(*options, "--dry-run")[1]
    assert command(report, out, "--out", tmp_path / "joined")[0] == 0
    assert "\n## Differences\n" in (tmp_path / "joined" / "report.md").read_text()
    status, _, err = fashion(*options, "--steps", 3, "--stages", "search", "report")
    assert (status, "holds runs of different settings" in err) == (2, True)
    status, _, err = fashion(*options, "--width", 3)
    assert (status, "has width 2, not 3" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "by `apt-get install dataset-fashion-mnist`, or give a directory of the four files by --data DIR"),
        (("--num-seeds", 0), "--num-seeds must be 1 or more, not 0"),
        (("--sgd-rates", 10), "--sgd-rates must be above 0 and hold 1, the customary rate"),
        (("--losses", "ce", "gfit"), "--losses: 'gfit' is not among ce, cosine, gift"),
        (("--losses", "ce", "--fewer-losses", "ce"), "--losses must hold gift, --optimizers adamw"),
    ],
)
def test_mistakes_are_one_sentence(arguments, message, fashion, tmp_path):
    status, _, err = fashion("--data", tmp_path, "--out", tmp_path / "out", *arguments)
    assert (status, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_no_set_holds_an_image_that_rates_are_chosen_on():
    held, kept = held_out(60_000)
    assert (len(held), len(kept)) == (5_000, 55_000)
    assert not set(held) & set(kept)


def test_the_literatures_width_and_a_teacher_that_follows_the_dataset():
    config = Benchmark()
    asked = teacher_config(config)
    assert (config.width, asked.model_options, asked.flip, asked.crop) == (128, "width=128", None, False)
