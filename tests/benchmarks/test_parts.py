"""The table of a step's parts."""

from benchmarks import parts
from benchmarks.changes import CHANGES


def test_the_table_has_a_line_per_part_and_a_column_per_workload():
    found = {"conv3": {"teacher": 10.4, "update": 2.0}, "conv4": {"teacher": 7.6, "update": 1.0}}
    assert parts.make_table(found).splitlines()[::2] == ["| part | conv3 | conv4 |", "| teacher | 10.4 | 7.6 |"]
    assert set(parts.UNDONE) < set(CHANGES)
