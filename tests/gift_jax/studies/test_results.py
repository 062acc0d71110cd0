"""Files of results as they are found: cut short, edited, with a name that has an odd letter."""

import pytest

from gift_jax.errors import GiftError
from gift_jax.runtime.files import append_json_line
from gift_jax.studies.results import end_last_line, read_results

ROWS = [{"method": "a set\u2028of two lines\x85 and\x0c three"}, {"method": "b"}]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "results.jsonl"
    for row in ROWS:
        append_json_line(path, row)
    return path


def test_lines_end_at_newlines_alone(path):
    assert read_results(path) == ROWS


def test_a_last_line_without_a_newline_that_is_whole_is_kept(path, capsys):
    path.write_bytes(path.read_bytes()[:-1])
    assert read_results(path) == ROWS
    end_last_line(path)
    append_json_line(path, ROWS[0])
    assert read_results(path) == [*ROWS, ROWS[0]]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("cut", [2, 5, len('{"method": "b"}\n')])
def test_a_last_line_that_is_cut_short_is_passed_over(path, cut, capsys):
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_results(path) == ROWS[:1]
    assert ("cut short" in capsys.readouterr().err) == (cut < 16)
    end_last_line(path)
    append_json_line(path, ROWS[1])
    assert read_results(path) == ROWS


def test_empty_lines_are_none(path):
    path.write_bytes(b"\n" + path.read_bytes() + b"\r\n\n")
    assert read_results(path) == ROWS


@pytest.mark.parametrize("line", [b"null", b"[]", b"3", b'"text"', b'{"loss": ', b"\xff\xfe", 9999 * b"["])
def test_what_is_no_result_is_named_and_nobody_is_told_to_delete_it(line, path):
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(GiftError, match=r"results\.jsonl: line 1 is no result") as refused:
        read_results(path)
    assert "delete" not in str(refused.value)
    assert "\n" not in str(refused.value)
