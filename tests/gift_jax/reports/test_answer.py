"""The answer that a report begins with: its sentences on small cases that are worked out by hand."""

import re

import pytest

from gift_jax.reports import answer, page, pictures, significance
from gift_jax.reports.page import Section
from gift_jax.reports.tables import make_grid, markdown_table, table_rows

WORDS = answer.Words("under", "optimizers")


def rows(loss, optimizer, values):
    labels = {"loss": loss, "optimizer": optimizer}
    return [{"labels": labels, "seed": seed, "top1_last": value} for seed, value in enumerate(values)]


def sentences(results, subject="gift", **options):
    grid = make_grid(results, "loss", "optimizer")
    tests = significance.compare(results, row="loss", column="optimizer", subject=subject)
    text = answer.sentences(grid, tests, subject, WORDS, **options)
    found = re.findall(r".*?\.(?= |$)", text)
    assert len(found) == 3
    return [sentence.strip() for sentence in found]


def test_a_win_beyond_noise():
    # Differences 10, 11, 12: t = 11 / (1 / sqrt 3) = 19.1, p = 0.003.
    assert sentences([*rows("gift", "sgd", [90, 92, 94]), *rows("kl", "sgd", [80, 81, 82])]) == [
        "`gift` has the highest mean under sgd.",
        "It leads `kl`, the runner-up, by 11.0 points under sgd.",
        "The difference is beyond noise (paired t-test by seed, n = 3).",
    ]


def test_a_win_within_noise():
    # Differences 3, -1, 1: t = 1 / (2 / sqrt 3) = 0.87, p = 0.48.
    assert sentences([*rows("gift", "sgd", [83, 80, 82]), *rows("kl", "sgd", [80, 81, 81])])[1:] == [
        "It leads `kl`, the runner-up, by 1.0 points under sgd.",
        "The difference is within noise (paired t-test by seed, n = 3).",
    ]


def test_a_defeat_is_said_plainly():
    results = [*rows("gift", "sgd", [80, 81, 82]), *rows("kl", "sgd", [90, 92, 94])]
    results += [*rows("gift", "adam", [70, 73, 70]), *rows("kl", "adam", [69, 69, 72])]
    # Under sgd -10, -11, -12, p = 0.003, by Holm 0.005; under adam 1, 4, -2, p = 0.62.
    assert sentences(results) == [
        "`gift` has the highest mean under adam; `kl` is ahead under sgd.",
        "`gift` leads `kl`, the runner-up, by 1.0 points under adam and trails the best by 11.0 points under sgd.",
        "Paired t-tests by seed (Holm, n = 3) find none of 2 differences beyond noise for `gift` and 1 against it "
        "(under sgd to `kl` by 11.0); 1 is undecided.",
    ]
    alone = sentences(results[:6])
    assert alone[0] == "`gift` does not win: `kl` is ahead under sgd."
    assert alone[2] == "The difference against `gift` is beyond noise (paired t-test by seed, n = 3)."


def test_a_tie():
    assert sentences([*rows("gift", "sgd", [80, 81]), *rows("kl", "sgd", [81, 80])]) == [
        "`gift` shares the highest mean with `kl` under sgd.",
        "The means are equal.",
        "The difference is within noise (paired t-test by seed, n = 2).",
    ]


def test_of_one_seed_nothing_is_said_about_noise():
    found = sentences([*rows("gift", "sgd", [90]), *rows("kl", "sgd", [10])])
    assert found[1] == "It leads `kl`, the runner-up, by 80.0 points under sgd."
    assert found[2] == "Nothing can be said about noise: one seed cannot be tested (n = 1)."


def test_without_the_subject_the_best_is_named_and_nothing_is_tested():
    assert sentences([*rows("kl", "sgd", [90]), *rows("ce", "sgd", [10])]) == [
        "`kl` has the highest mean under sgd.",
        "It leads `ce`, the runner-up, by 80.0 points under sgd.",
        "No difference was tested because `gift` was not run.",
    ]
    assert sentences(rows("gift", "sgd", [90]))[0] == "Only `gift` was run."


def test_many_columns_are_counted_and_their_extremes_named():
    leads = {"a": 1.0, "b": 0.01, "c": 3.0, "d": 2.0, "e": -0.5}
    results = [row for name, lead in leads.items() for row in rows("gift", name, [50 + lead, 51 + lead])]
    results += [row for name in leads for row in rows("kl" if name != "e" else "mse", name, [50, 51])]
    results += [row for name in leads for row in rows("mse" if name != "e" else "kl", name, [40, 41])]
    first, second, third = sentences(results)
    assert first == "`gift` has the highest mean under 4 of 5 optimizers; `mse` is ahead under e."
    assert second == (
        "`gift` leads `kl`, the runner-up, by less than 0.1 (b) to 3.0 points (c) and trails the best by 0.5 points "
        "under e."
    )
    assert third == "Paired t-tests by seed (Holm, n = 2) find none of 10 differences beyond noise."


def test_phrases_take_the_place_of_columns():
    grid = make_grid([*rows("gift", "x", [2.0]), *rows("kl", "x", [1.0])], "loss", "optimizer")
    words = answer.Words("", "", {"x": "at the customary rate"})
    assert answer.what_wins(grid, "gift", words, "mean over 3 students") == (
        "`gift` has the highest mean over 3 students at the customary rate."
    )
    assert answer.beyond_noise([], "gift", words) == "No difference was tested."


def test_a_scope_begins_the_last_sentence_and_at_most_three_defeats_are_named():
    results = [row for name in "abcd" for row in rows("gift", name, [10, 11, 12, 13])]
    results += [row for place, name in enumerate("abcd") for row in rows("kl", name, [90 - place] * 4)]
    last = sentences(results, scope="At the validated rate, ")[2]
    assert last.startswith("At the validated rate, paired t-tests by seed (Holm, n = 4) find none of 4 differences")
    assert (
        "4 against it (under a to `kl` by 78.5, under b to `kl` by 77.5, under c to `kl` by 76.5 and 1 more below)"
        in last
    )


def test_defeats_in_one_column_name_it_once():
    results = [*rows("gift", "sgd", [10, 11, 12]), *rows("kl", "sgd", [90, 90, 90]), *rows("ce", "sgd", [80, 80, 80])]
    assert "2 against it (under sgd to `kl` by 79.0 and to `ce` by 69.0)" in sentences(results)[2]


@pytest.fixture
def report():
    results = [*rows("gift", "sgd", [90, 92, 94]), *rows("kl", "sgd", [80, 81, 82])]
    grid = make_grid(results, "loss", "optimizer")
    table = markdown_table(table_rows(grid, "loss"))
    first = answer.section(pictures.points("p", grid, "P"), " ".join(sentences(results)), table, "Figures.")
    return [first, Section("Tables", [table, pictures.heat_map("h", grid, "H")], folded=True)]


def test_a_report_begins_with_picture_sentences_and_table(report):
    text = page.to_markdown("Title", report)
    blocks = text.split("\n\n")
    assert blocks[:2] == ["# Title", "## Answer"]
    assert blocks[2].startswith("![P: ")
    assert blocks[3].startswith("`gift` has the highest mean")
    assert blocks[4].startswith("| loss |")
    html = page.to_html("Title", report)
    places = [html.index(part) for part in ("<h1>", "Answer</h2>", "<svg", "highest mean", "<table>", "<details>")]
    assert places == sorted(places)
