"""The table of a step's parts."""

from benchmarks import parts


def test_the_table_has_a_line_per_part_and_both_sides_of_every_workload():
    sides = {"before": {"teacher": 10.4, "update": 2.0}, "after": {"teacher": 7.6, "update": 1.0}}
    assert parts.make_table({"conv3": sides, "conv4": sides}).splitlines() == [
        "| part | conv3, before | conv3, after | conv4, before | conv4, after |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| teacher | 10 | 8 | 10 | 8 |",
        "| update | 2 | 1 | 2 | 1 |",
    ]


def test_what_is_undone_is_a_change_that_is_measured():
    assert set(parts.UNDONE) < set(parts.CHANGES)
