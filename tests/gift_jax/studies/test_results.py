"""Files of results as they are found: cut short, edited, with a name that has an odd letter."""

import json
from pathlib import Path

import pytest

from gift_jax.errors import GiftError
from gift_jax.runtime.files import append_json_line
from gift_jax.studies.results import check_place, end_last_line, read_results

OTHER = {"experiment": "e", "cell": "c", "labels": {}, "seed": 0}
ROWS = [{**OTHER, "method": "a set\u2028of two lines\x85 and\x0c three"}, {**OTHER, "method": "b"}]
LENGTH = len(json.dumps(ROWS[1]) + "\n")
COMMITTED = Path(__file__).parents[3] / "docs/results/loss_comparison/results.jsonl"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "results.jsonl"
    for row in ROWS:
        append_json_line(path, row)
    return path


@pytest.mark.parametrize("form", [b"%s\n", b"%s", b"\xef\xbb\xbf%s", b"\n%s\r\n\n\n"])
def test_whole_rows_are_read_and_added_to(form, path, capsys):
    """Lines end at newlines alone, the last may lack it; a byte order mark is no letter, and empty lines are none."""
    path.write_bytes(form % path.read_bytes()[:-1])
    assert read_results(path) == ROWS
    end_last_line(path)
    append_json_line(path, ROWS[0])
    assert read_results(path) == [*ROWS, ROWS[0]]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("cut", [2, 5, LENGTH])
def test_a_last_line_that_is_cut_short_is_passed_over(path, cut, capsys):
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_results(path) == ROWS[:1]
    assert ("cut short" in capsys.readouterr().err) == (cut < LENGTH)
    end_last_line(path)
    append_json_line(path, ROWS[1])
    assert read_results(path) == ROWS


def test_wherever_a_row_is_cut_short_it_is_passed_over(tmp_path, capsys):
    row = {**json.loads(COMMITTED.read_text().splitlines()[0]), "more": [1.5e-07, -2, True, None, "\x07é"]}
    line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
    for length in (*range(1, 300), *range(len(line) - 300, len(line) - 1)):
        (path := tmp_path / "results.jsonl").write_bytes(line + line[:length])
        end_last_line(path)
        assert path.read_bytes() == line


@pytest.mark.parametrize("form", ["{0}{1}", "{1},", "[{1}]", "{0}\r{1}\r", '{{"a": "b{1}', "\0\0"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_what_was_not_cut_short_is_never_cut_off(form, encoding, path):
    """Files that were joined, saved by an editor, or written by something else: what they hold may be results."""
    content = form.format(*map(json.dumps, ROWS)).encode(encoding)
    path.write_bytes(path.read_bytes() + content)
    with pytest.raises(GiftError, match="line 3 is no result"):
        read_results(path)
    end_last_line(path)
    assert path.read_bytes().endswith(content)


@pytest.mark.parametrize("line", [b"null", b"[]", b"3", b'"text"', b'{"loss": ', b"\xff\xfe", 9999 * b"["])
def test_what_is_no_result_is_named_and_nobody_is_told_to_delete_it(line, path):
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(GiftError, match=r"results\.jsonl: line 1 is no result") as refused:
        read_results(path)
    assert "delete" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["top1_last", "seed", "recipe", "student", "history", "versions", "labels", "dataset"])
@pytest.mark.parametrize("value", ["missing", "text", [], float("nan"), True])
def test_a_result_whose_fields_are_not_those_of_one_is_named_by_its_line(name, value, tmp_path):
    row, other = map(json.loads, COMMITTED.read_text().splitlines()[:2])
    if value == "missing":
        del row[name]
    elif (name, value) == ("dataset", "text"):
        row["dataset"] = None
    else:
        row[name] = value
    (path := tmp_path / "results.jsonl").write_text(f"{json.dumps(other)}\n{json.dumps(row)}\n")
    with pytest.raises(GiftError, match=rf"results\.jsonl: line 2 is no result: .*'{name}'.*put it into another file"):
        read_results(path)


def test_a_place_that_takes_no_results_is_refused(tmp_path):
    path = tmp_path / "results.jsonl"
    check_place(path)
    path.mkdir()
    with pytest.raises(GiftError, match="directory"):
        check_place(path)


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (["teacher.json", "results.jsonl"], "a teacher"),
        (["fkd.json"], "stored labels"),
        (["dataset.json"], "a dataset"),
        (["rded.safetensors"], "rded.safetensors"),
        (["cat/1.png", "dog/2.JPEG"], r"class folders of images \('cat', 'dog'\)"),
        (["train/cat/1.png", "train/dog/1.png"], "class folders of images .*"),
        (["1.png"], "1.png"),
        # What experiments write themselves.
        (["teacher/teacher.json", "rded.safetensors", "sheets/a.png", "sheets/b.png"], None),
        (["results-1-of-2.jsonl", "mine/a.png", "other/b.png", "rded.safetensors"], None),
        (["sets/rded.safetensors", "sheets/a.png", "report.md"], None),
        (["train"], None),
    ],
)
def test_results_are_not_written_among_data(files, what, tmp_path):
    for name in files:
        (path := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if what:
        with pytest.raises(GiftError, match=f"holds {what}; give another --out"):
            check_place(tmp_path / "results.jsonl")
    else:
        check_place(tmp_path / "new.jsonl")


@pytest.mark.parametrize("place", ["train/cat", "train/new", "train/cat/new"])
def test_results_are_not_written_below_class_folders(place, tmp_path):
    for name in ("cat", "dog"):
        (folder := tmp_path / "train" / name).mkdir(parents=True)
        (folder / "1.png").touch()
    with pytest.raises(GiftError, match=r"(holds 1\.png|lies among class folders of images .*); give another --out"):
        check_place(tmp_path / place / "results.jsonl")
