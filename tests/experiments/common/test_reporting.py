"""What each study reports first, on small cases that are worked out by hand, and what is missing or of two settings."""

import json
import re
from pathlib import Path

import pytest
from forms import short_form
from grids import Echo, rows_of, text_of

from experiments import ablation, fidelity, report
from experiments.common import rate_views, reporting
from experiments.common.reporting import by_setting, write_report
from gift_jax import GiftError
from gift_jax.reports.page import Table
from gift_jax.studies import grid
from gift_jax.studies.results import read_results

DOCUMENTED = Path(__file__).parents[3] / "docs" / "results"
REPORTS = sorted(DOCUMENTED.glob("*/report.md"))
GRIDS = [name for name in report.EXPERIMENTS if (DOCUMENTED / name).is_dir()]


@pytest.mark.parametrize("path", REPORTS, ids=[path.parent.name for path in REPORTS])
def test_committed_reports_say_what_was_run_and_then_show_it(path):
    title, heading, about, picture, *_ = path.read_text().split("\n\n")
    assert title.startswith("# ")
    assert heading == "## Summary"
    assert re.search(" images? per class · ", about)
    assert re.fullmatch(r"!\[.+\]\(pictures/.+\.svg\)", picture)
    assert not re.search(r"\{['\"]|nan [|±]", path.read_text())


@pytest.mark.parametrize("name", short_form(GRIDS, ("ablation",)))
def test_the_report_of_a_part_of_a_study_is_no_error(name, tmp_path):
    """Of the committed results: what came first, and the cells of one part of three."""
    rows = [row for row in read_results(DOCUMENTED / name / "results.jsonl") if row.get("failed") != "error"]
    cells = sorted({json.dumps(row["labels"]) for row in rows})
    part = [row for row in rows if cells.index(json.dumps(row["labels"])) * 3 < len(cells)]
    for own in (rows[:3], rows[: len(rows) * 2 // 3], part):
        made = write_report(tmp_path, name, {name: report.EXPERIMENTS[name]}, own, [])
        assert not re.search("nan [|±]", text_of(made))


def rate_rows(figures):
    """Rows by loss, optimizer and rate; validation prefers the rate 10."""
    rows = rows_of(figures, ("loss", "optimizer", "rate"))
    return [{**row, "validation_top1": float(row["labels"]["rate"])} for row in rows]


RATES = {
    ("gift", "sgd", "1"): [70, 72, 74],
    ("gift", "adam", "1"): [80, 82, 84],
    ("kl", "sgd", "1"): [10, 10, 10],
    ("kl", "adam", "1"): [80, 80, 80],
    # Of these 12, 11, 10 points under sgd are lost, p = 0.003 and by Holm 0.005; 1, 0, 2 under adam are won, p = 0.23.
    ("gift", "sgd", "10"): [80, 82, 84],
    ("gift", "adam", "10"): [91, 90, 92],
    ("kl", "sgd", "10"): [92, 93, 94],
    ("kl", "adam", "10"): [90, 90, 90],
}


def test_a_lead_that_goes_when_rates_are_chosen():
    text = text_of(rate_views.make_sections(rate_rows(RATES), "optimizer")[:1])
    # Means over optimizers: gift 77 and 86.5, kl 45 and 91.5; over the rates 81.75 and 68.25. Seeds' means of gift at
    # the chosen rate: 85.5, 86, 88.
    assert "default rate: gift - kl: +32.0 [" in text
    assert "chosen rate: gift - kl: -5.0 [" in text
    assert "mean over rates: gift - kl: +13.5 [" in text
    assert "| `kl` | 45.0 ± 0.0 | 10.0 ± 0.0 | 91.5 ± 0.5 | 90.0 ± 0.0 |" in text
    assert "| `gift` | 77.0 ± 2.0 | 72.0 ± 2.0 | 86.5 ± 1.3 | 82.0 ± 2.0 |" in text


NO_VALIDATION = [{key: value for key, value in row.items() if key != "validation_top1"} for row in rate_rows(RATES)]
NO_RATE_10 = rate_rows({names: values for names, values in RATES.items() if names != ("kl", "sgd", "10")})


@pytest.mark.parametrize(
    ("rows", "lacking"), [(NO_VALIDATION, "chosen rate:"), (NO_RATE_10, "mean over rates: gift - kl")]
)
def test_no_rate_is_chosen_without_validation_images_and_means_are_over_all_rates(rows, lacking):
    text = text_of(rate_views.make_sections(rows, "optimizer"))
    assert lacking not in text
    assert ("No rate was chosen" in text) is (rows is NO_VALIDATION)


def test_rates_are_chosen_on_validation_images_never_on_test_images():
    rows = rows_of({("gift", "sgd", "0.1"): [50.0], ("gift", "sgd", "1"): [70.0]}, ("loss", "optimizer", "rate"))
    rows = [{**row, "validation_top1": 100 - row["top1_last"]} for row in rows]
    [chosen] = rate_views.at_chosen(rows, 10.0, "optimizer").rows
    assert chosen["top1_last"] == 50.0
    about = rate_views.at_chosen(rows, 10.0, "optimizer").about
    assert "an end of this grid: 1 of 1" in about
    assert "--rates" in about
    text = text_of(rate_views.make_sections(rows, "optimizer"))
    assert "| rate, times the default | sgd |" in text
    assert "| `gift` | 0.1 |" in text


def losses_by_table(sections):
    """The order of the losses in each table that has all three."""
    tables = [block for section in sections for block in section.blocks if isinstance(block, Table)]
    found = [re.findall(r"gift - (\w+)|`(\w+)`", block.markdown) for block in tables]
    return [[one or other for one, other in names] for names in found]


@pytest.mark.parametrize("kind", ["rates", "two axes"])
def test_all_tables_of_a_report_have_one_order_of_the_losses(kind):
    """That of the first: by the worst column, or by the mean at the chosen rate; the rows come in another."""
    figures = {("kl", "sgd"): 10.0, ("gift", "sgd"): 50.0, ("ce", "sgd"): 70.0}
    if kind == "rates":
        rows = rate_rows(
            {(*names, rate): [value, value + 1] for names, value in figures.items() for rate in ("1", "10")}
        )
        sections = rate_views.make_sections(rows, "optimizer")
    else:
        rows = rows_of({names: [value, value + 1] for names, value in figures.items()}, ("loss", "optimizer"))
        sections = reporting.two_axes(rows, "loss", "optimizer")
    orders = losses_by_table(sections)
    assert len(orders) > 1
    assert all(names in (["ce", "gift", "kl"], ["ce", "kl"]) for names in orders), orders


@pytest.mark.parametrize(
    ("values", "said"),
    [([11.0, 12.0], 1), ([13.0, 60.0], 1), ([13.0, 14.0], 0), ([None, None], 1), ([14.0], 0), ([12.0], 1)],
)
def test_accuracy_at_guessing_is_said(values, said, tmp_path):
    """Of ten classes: at most 12 %, or within a standard deviation of 10 %; diverged runs guess."""
    rows = rows_of({("gift", "sgd"): values}, ("loss", "optimizer"))
    rows = [{**row, "dataset": "digits"} for row in rows]
    assert len(reporting.at_guessing(rows)) == said
    sections = write_report(tmp_path, "t", {"t": lambda own: reporting.two_axes(own, "loss", "optimizer")}, rows, [])
    assert text_of(sections).count("Accuracy is at guessing (10.0 %)") == said


def test_half_of_the_settings_at_guessing_are_said_and_fewer_are_not():
    figures = {("kl", "sgd"): [10.0], ("kl", "adam"): [50.0], ("ce", "sgd"): [60.0]}
    rows = [{**row, "dataset": "digits"} for row in rows_of(figures, ("loss", "optimizer"))]
    assert reporting.at_guessing(rows) == []
    assert "1 of 2 settings" in reporting.at_guessing(rows[:2])[0]


def test_the_mean_over_rates_is_each_seeds_and_a_diverged_run_counts_as_guessing():
    figures = {("gift", "sgd", rate): [top1] for rate, top1 in (("0.1", 50.0), ("1", 70.0), ("10", None))}
    [mean] = rate_views.over_rates(rows_of(figures, ("loss", "optimizer", "rate")), 10.0, "optimizer").rows
    assert mean["top1_last"] == pytest.approx((50 + 70 + 10) / 3)


ABLATION = [
    ({"weight": "0", "smoothing": "0.1"}, 70.0),
    ({"weight": "0", "smoothing": "0"}, 1.0),  # two changes
    ({"weight": "0.1", "smoothing": "0.1"}, 80.0),
    ({"weight": "0.1", "smoothing": "0"}, 81.0),
    ({"target": "T = 4", "refinement": "refined"}, 50.0),
    ({"target": "T = 4", "refinement": "bare"}, 2.0),
    ({"target": "logits", "refinement": "refined"}, 80.0),
    ({"temperature": "4", "squared": "with"}, 3.0),
]


def test_an_ablation_begins_with_single_changes():
    rows = []
    for labels, top1 in ABLATION:
        rows += rows_of({(*labels.values(), "sgd"): [top1]}, (*labels, "optimizer"), dataset="digits")
    found = ablation.single_changes(rows)
    names = ["official", "weight 0", "smoothing 0", "probabilities, T = 4"]
    assert [row["labels"]["setting"] for row in found] == names
    text = text_of(ablation.make_sections(rows)[:1])
    assert "official - probabilities, T = 4: +30.0, n = 1" in text
    assert "| `official` | 80.0 |" in text


def test_deviations_are_pairs():
    figures = {("JPEG", "official"): [80, 82], ("JPEG", "ours"): [81, 84], ("small crops", "ours"): [50, 50]}
    rows = rows_of(figures, ("deviation", "side"), dataset="digits", student={"num_classes": 10})
    rows = [{**row, "loss": "gift", "optimizer": "sgd", "epochs": 1, "recipe": {"loss_options": []}} for row in rows]
    table = fidelity.pairs(rows, fidelity.make_grid(rows, "side", "deviation"), 10.0)
    assert table.rows[1] == ["JPEG", "81.0 ± 1.4", "82.5 ± 2.1", "+1.5 [-4.9, +7.9]"]
    assert table.rows[2] == ["small crops", "-", "50.0 ± 0.0", "-"]


def test_joined_reports_begin_with_all_summaries(tmp_path):
    rows = [
        *rows_of({("gift", "x"): [50.0], ("kl", "x"): [40.0]}, ("loss", "method"), experiment="loss_comparison"),
        *rows_of({("gift", "x"): [50.0], ("kl", "x"): [40.0]}, experiment="other"),
    ]
    makers = {"loss_comparison": report.EXPERIMENTS["loss_comparison"], "other": report.other_sections}
    write_report(tmp_path, "Two", makers, rows, [])
    text = (tmp_path / "report.md").read_text()
    assert re.findall("^## (.*)$", text, re.MULTILINE)[:2] == ["loss_comparison: Summary", "other: Summary"]


def test_two_settings_of_one_study_are_two_reports(tmp_path):
    figures = {("gift", "sgd"): [90.0, 91.0], ("kl", "sgd"): [80.0, 81.0]}
    one, other = ({"teacher_sha256": digest * 16, "experiment": "x"} for digest in ("a1", "b2"))
    rows = rows_of(figures, **one) + rows_of({names: [10.0, 11.0] for names in figures}, **other)
    first, second, *_ = write_report(tmp_path, "X", {"x": report.other_sections}, rows, [])
    assert [first.title, second.title] == ["teacher a1a1a1a1: Summary", "teacher b2b2b2b2: Summary"]
    assert "90.5 ± 0.7" in text_of([first])
    assert "10.5 ± 0.7" in text_of([second])


def test_pictures_of_settings_that_differ_in_much_have_names_that_files_may_have(tmp_path):
    rows = []
    for letter in "ab":
        record = {f"{letter}_{number:03d}": letter for number in range(40)}
        rows += rows_of({("gift", "sgd"): [90.0], ("kl", "sgd"): [80.0]}, experiment="x", distilled=record)
    first, second, *_ = write_report(tmp_path, "X", {"x": report.other_sections}, rows, [])
    assert len(first.title) > 255
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert len(names) >= 2
    assert first.title != second.title


def run(loss="kl", seed=0, labels=None, **fields):
    return {"labels": labels or {"loss": loss, "optimizer": "sgd"}, "seed": seed, "top1_last": 90.0, **fields}


A, B = "a1" * 16, "b2" * 16
SETTINGS = [
    # One loss alone was run in each setting, so no two rows have the same labels.
    (run(teacher_sha256=A), run("gift", teacher_sha256=B), ["teacher a1a1a1a1", "teacher b2b2b2b2"]),
    (run(dataset="digits"), run("gift", dataset="mine"), ["dataset digits", "dataset mine"]),
    (run(recipe={"epochs": 100}), run("gift", recipe={"epochs": 10}), ["epochs 100", "epochs 10"]),
    *(  # whether one seed or two, one loss or two: no accuracy of one stands beside that of the other
        (run(digests={name.replace(" ", "_"): A}), run(loss, seed, digests={name.replace(" ", "_"): B}),
         [f"{name} a1a1a1a1", f"{name} b2b2b2b2"])
        for name in ("random generator", "test images", "images")
        for loss, seed in (("kl", 0), ("kl", 1), ("gift", 1))
    ),
    ({"dataset": "digits"}, {"dataset": "mine"}, ["dataset digits", "dataset mine"]),  # evaluations
    # Longer training of larger sets is the study's own doing, and so is a rate a loss.
    (run(labels={"loss": "kl", "ipc": "1"}, recipe={"epochs": 100, "optimizer": {"learning_rate": 0.1}}),
     run(labels={"loss": "gift", "ipc": "10"}, recipe={"epochs": 10, "optimizer": {"learning_rate": 0.2}}), [""]),
    # Sets that store their labels have no teacher, and students of their own.
    (run(labels={"loss": "kl", "method": "rded"}, teacher="conv3", student={"options": []}),
     run(labels={"loss": "kl", "method": "ncfm"}, teacher=None, student={"options": ["instance"]}), [""]),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "names"), SETTINGS)
def test_rows_are_parted_by_what_a_study_holds_fixed_and_not_by_what_its_axes_decide(one, other, names):
    assert [*by_setting([one, other])] == names
    assert [*by_setting([one, one])] == [""]


def test_lengths_that_a_question_compares_are_one_part():
    rows = [rows_of({(str(n), "gift"): [50.0]}, ("epochs", "loss"), recipe={"epochs": n}) for n in (100, 300)]
    assert [*by_setting([row for own in rows for row in own])] == [""]


def test_a_diverged_run_stays_with_the_runs_of_its_teacher():
    """What failed says of itself what finished runs do."""
    kept = {"teacher_sha256": "a1" * 16, "dataset": "mine"}
    rows = rows_of({("kl", "sgd"): [90.0]}, **kept) + rows_of({("kl", "sgd"): [10.0]}, **{**kept, "dataset": "other"})
    failed = {"labels": rows[0]["labels"], "seed": 1, "cell": "f", "failed": "diverged", "reason": "", "record": kept}
    parts = by_setting([*rows, failed])
    assert [[row["seed"] for row in own] for own in parts.values()] == [[0, 1], [0]]


def test_cells_and_seeds_that_are_missing_are_named(tmp_path):
    rows = rows_of({("gift", "sgd"): [1, 2], ("gift", "adam"): [1, 2], ("kl", "sgd"): [1]}, experiment="x")
    assert reporting.missing_cells(rows) == ["kl, sgd, seed 1", "kl, adam"]
    write_report(tmp_path, "X", {"x": report.other_sections}, rows, [], missing=reporting.missing_cells(rows))
    shown = "## Incomplete\n\nThese results are missing.\n\n- kl, sgd, seed 1\n- kl, adam"
    assert shown in (tmp_path / "report.md").read_text()
    assert reporting.missing_cells(rows[:4]) == []


def lacking(*runs):
    """What a report says of parts of studies, by their file's name."""
    lines = [line.split("`") for line in reporting.missing_parts(grid.merge(grid.read_rows(runs))[0], runs)]
    return {Path(path).name: text for _, path, text in lines}


def test_parts_of_earlier_versions_whose_files_are_missing_are_named(tmp_path):
    [study, *_] = read_results(DOCUMENTED / "loss_comparison" / "results.jsonl")
    evaluation = {name: value for name, value in study.items() if name not in ("experiment", "cell", "labels")}
    for name in ("results-1-of-4.jsonl", "results-3-of-4.jsonl"):
        (tmp_path / name).write_text(f"{json.dumps(study)}\n")
    (tmp_path / "results.jsonl").write_text(f"{json.dumps(evaluation)}\n")  # which is no part of the study
    assert [*lacking(tmp_path)] == ["results-2-of-4.jsonl", "results-4-of-4.jsonl"]
    assert len(lacking(tmp_path / "results-1-of-4.jsonl")) == 3
    # Of a run of the whole, which adds what the parts lack.
    (tmp_path / "results.jsonl").write_text(f"{json.dumps(study)}\n")
    assert lacking(tmp_path) == {}


def run_cells(out, seeds, shard="1/1", experiment="echo", values=(1.0, 2.0)):
    cells = [Echo(value, seed) for value in values for seed in seeds]
    grid.run_grid(cells, out, experiment=experiment, shard=grid.parse_shard(shard))


def test_parts_of_two_grids_do_not_make_one_whole(tmp_path):
    run_cells(tmp_path, (0, 1), "1/2")
    run_cells(tmp_path, (2, 3), "2/2")
    assert lacking(tmp_path) == {
        "results-1-of-2.jsonl": ": 2 of 4 students, echo 1, seed 2 among them",
        "results-2-of-2.jsonl": ": 2 of 4 students, echo 2, seed 0 among them",
    }
    run_cells(tmp_path, range(4))  # the rest, in one piece
    assert lacking(tmp_path) == {}


def test_a_part_is_missed_until_it_is_there_wherever_that_is(tmp_path):
    for directory, shard in ((tmp_path / "a", "1/2"), (tmp_path / "b", "2/2")):
        run_cells(directory, (0,), shard)
    assert [*lacking(tmp_path / "a")] == ["results-2-of-2.jsonl"]
    assert [*lacking(tmp_path / "b" / "results-2-of-2.jsonl")] == ["results-1-of-2.jsonl"]
    assert lacking(tmp_path / "a", tmp_path / "b") == {}
    # Parts without a setting write no results, and none are missed.
    for number in (1, 2, 3):
        run_cells(tmp_path / "few", (0,), f"{number}/3")
    assert len([*(tmp_path / "few").glob("results*")]) == 2
    assert lacking(tmp_path / "few") == {}
    # A cell that another study ran is not this one's result.
    run_cells(tmp_path / "c", (0,), "1/2")
    run_cells(tmp_path / "d", (0,), experiment="other")
    assert [*lacking(tmp_path / "c", tmp_path / "d")] == ["results-2-of-2.jsonl"]


def test_a_list_of_cells_that_was_edited_is_named(tmp_path):
    run_cells(tmp_path, (0,), "1/2")
    [path] = tmp_path.glob(grid.GRIDS)
    path.write_text('{"results-1-of-2.jsonl": []}')
    with pytest.raises(GiftError, match=rf"{path.name}: does not list"):
        lacking(tmp_path)


def claims():
    """(claim, figure, interval, n, report, heading) of the tables of results."""
    lines = (DOCUMENTED / "README.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    for claim, *cells, link in (row for row in rows if len(row) == 5 and "](" in row[4]):
        path, _, anchor = re.fullmatch(r"\[.+\]\((.+)\)", link)[1].partition("#")
        yield claim, *cells, DOCUMENTED / path, anchor


def test_figures_of_the_table_of_results_are_in_the_reports():
    """Under the heading that is linked, with the interval beside the figure, and n."""
    assert len([*claims()]) > 50
    for claim, figure, interval, n, path, anchor in claims():
        sections = re.split(r"^## ", path.read_text(), flags=re.MULTILINE)
        named = {re.sub(r"[^\w\- ]", "", text.partition("\n")[0].lower()).replace(" ", "-"): text for text in sections}
        lines = [line.replace("[", "").replace("]", "").replace(", +", " to +").replace(", -", " to -")
                 for line in named[anchor].splitlines()]  # fmt: skip
        pattern = r"(?: \(n = \d+\))?[ |]+".join(re.escape(text) for text in (figure, interval) if text)
        found = [line for line in lines if re.search(rf"(?<![\d.]){pattern}(?![\d.])", line)]
        assert found, (claim, figure, interval)
        counted = re.search(rf"n = {n}\b|n = \d+ to {n}\b|n = {n} to|\({n}\)", named[anchor])
        assert counted or any(f"| {n} |" in line for line in found) or not n, claim


def test_a_folder_of_many_results_names_their_kind_and_the_choices(tmp_path):
    for number in range(22):
        (tmp_path / f"run_{number:02d}.jsonl").touch()
        (tmp_path / "studies" / f"study_{number:02d}").mkdir(parents=True)
        (tmp_path / "studies" / f"study_{number:02d}" / "results.jsonl").touch()
    with pytest.raises(GiftError, match=r"holds 22 files of results \('run_00.jsonl', .* and 18 more\)"):
        reporting.check_runs([tmp_path])
    with pytest.raises(GiftError, match=r"holds 22 runs \('study_00', .* and 18 more\)"):
        reporting.check_runs([tmp_path / "studies"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(GiftError, match="give a directory that an experiment wrote"):
        reporting.check_runs([tmp_path / "empty"])


def test_a_run_under_two_labels_takes_its_time_once():
    row = {"cell": "a", "seconds": 30.0, "train_seconds": 9.0, "recipe": {}, "device": "d", "versions": {}}
    row |= {"teacher": None, "teacher_sha256": None, "method": "rded", "distilled": {}}
    line = reporting.configuration([row, {**row, "labels": {}}, {**row, "cell": "b"}]).blocks[0]
    assert line.startswith("2 runs, 0 failed · 60 s of")


def test_results_of_a_study_without_its_labels_are_no_traceback(tmp_path):
    rows = rows_of({("gift", "x"): [50.0]}, ("loss", "method"))
    with pytest.raises(GiftError, match=r"results of cross_optimizer .*'rate'"):
        write_report(tmp_path, "X", {"cross_optimizer": report.EXPERIMENTS["cross_optimizer"]}, rows, [])
