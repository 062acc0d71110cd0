"""What is reported of kinds of labels, from rows by hand."""

import re

import pytest
from grids import rows_of

from experiments.label_regimes import views

SIZES = {"hard": 20, "one": 400, "bank": 9000, "live": 5000}


RUN = {"dataset": "digits", "num_images": 20}


def labelled(images, accuracies):
    """Rows of `{labels: [accuracy by seed]}`."""
    for labels, found in accuracies.items():
        size = SIZES[labels.partition(",")[0]]
        yield from rows_of({(images, labels): found}, ("images", "labels"), label_bytes=size, **RUN)


ROWS = [
    *labelled("rded", {"hard": [50.0, 54.0, 52.0], "one, gift": [60.0, 62.0, 61.0], "bank, gift": [91.0, 92.0, 94.0]}),
    *labelled("random", {"hard": [60.0] * 3, "one, gift": [70.0] * 3, "bank, gift": [90.0, 90.0, 91.0]}),
    *rows_of({("random", "400"): [80.0, 81.0, 82.0]}, ("images", "hard-labelled"), label_bytes=400, **RUN),
    *rows_of({("897",): [95.0, 96.0, 97.0]}, ("all real images",), label_bytes=897, **RUN),
]


def test_the_primary_comparison_by_hand():
    # 1, 2 and 3 points: mean 2, standard deviation 1; half of the interval is 4.3027 / sqrt(3).
    [found], _ = views.against_others(views.read_results(ROWS))
    assert (found.difference, found.std, found.n) == pytest.approx((2, 1, 3))
    lines = views.make_sections(ROWS)[0].blocks[3]
    assert lines == "```\nbank, gift: rded - random: +2.0 [-0.5, +4.5], n = 3, p = 0.074\n```"


@pytest.mark.parametrize("lacking", [{"images": "rded"}, {"labels": "gift"}, {"labels": "one"}, {"images": "random"}])
def test_what_was_not_run_is_no_error(lacking):
    """As of a run that was cut off, or of a part of its shards."""
    [(axis, name)] = lacking.items()
    sections = views.make_sections([each for each in ROWS if not re.search(name, each["labels"].get(axis, ""))])
    assert (len(sections) == 1) is (name in ("rded", "gift"))


def test_the_primary_comparison_is_not_corrected_and_the_others_are():
    _, found = views.against_others(views.read_results(ROWS))
    assert {(one.column, one.other) for one in found} == {("hard", "random"), ("one, gift", "random")}
    smallest = min(found, key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(2 * smallest.p)
    table = views.make_sections(ROWS)[1].blocks[1]
    assert table.rows[:2] == [["points (n = 3)", "rded - random"], ["bank, gift", "+2.0 [-0.5, +4.5]"]]


def test_gift_is_set_against_soft_hard_soft_on_the_same_images_and_labels():
    title = "Differences: gift and soft-hard-soft"
    assert title not in {section.title for section in views.make_sections(ROWS)}
    middle = labelled("rded", {"bank, kl_soft_hard_soft": [88.0, 90.0, 91.0]})
    [section] = [found for found in views.make_sections([*ROWS, *middle]) if found.title == title]
    assert section.blocks[0].rows[1] == ["gift - kl_soft_hard_soft", "+2.7 [+1.2, +4.1]*"]


def test_a_diverged_student_guesses():
    failed = {"labels": {"images": "rded", "labels": "bank, gift"}, "seed": 0, "failed": "diverged"}
    others = [each for each in ROWS if each["labels"] != failed["labels"] or each["seed"] != 0]
    [found], _ = views.against_others(views.read_results([*others, failed]))
    assert found.difference == pytest.approx((10 - 90 + 2 + 3) / 3)


def test_bytes_buy_images_and_all_there_are_at_most():
    results = views.read_results(ROWS)
    assert results.label_bytes == {"hard": 20, "one": 400, "bank": 9000}
    assert [(one.count, one.size) for one in results.bought] == [(400, 400), (897, 897)]
    table = views.bytes_section(results, "gift").blocks[1]
    assert table.rows[1:] == [
        ["`one`", "400", "61.0 ± 2.5", "70.0 ± 0.0", "400", "400", "81.0 ± 2.5", "-"],
        ["`bank`", "9,000", "92.3 ± 3.8", "90.3 ± 1.4", "897", "897", "-", "96.0 ± 2.5"],
    ]


def test_the_report_begins_with_its_picture_and_table():
    sections = views.make_sections(ROWS)
    _, picture, _, _, table, _ = sections[0].blocks
    assert ">random images, more images, hard</text>" in picture.content
    assert ["`rded`", "52.0 ± 5.0", "61.0 ± 2.5", "92.3 ± 3.8"] in table.rows
    assert len({section.title for section in sections}) == len(sections)
