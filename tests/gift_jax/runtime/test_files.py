"""What is written: to a disk that is full one sentence and nothing half-written; and who may read it."""

import gc
import json
import os
import stat

import numpy as np
import pytest
from setups import INFO, distilled_set, make_variables

from gift_jax import save_distilled
from gift_jax.data.zca import fit_zca, save_zca
from gift_jax.errors import GiftError
from gift_jax.reports.page import Picture, Section, write_page
from gift_jax.runtime.files import append_json_line, file_state, write_text
from gift_jax.studies.results import end_last_line
from gift_jax.teachers.teacher import save_teacher

IMAGES = np.zeros((20, 8, 8, 1), np.uint8)
PICTURE = Picture("picture", "Noise", bytes(2000))
WRITERS = {
    "teacher": lambda path: save_teacher(path, INFO, *make_variables()),
    "set": lambda path: save_distilled(path, distilled_set()),
    "whitening": lambda path: save_zca(path, fit_zca([IMAGES])),
    "text": lambda path: write_text(path, 2000 * "x"),
    "page": lambda path: write_page(path.parent, "Noise", [Section("", [PICTURE])]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_one_sentence_and_nothing_left(name, full_disk, tmp_path, caplog, capfd):
    with full_disk(1000), pytest.raises(GiftError) as refused:
        WRITERS[name](tmp_path / name)
    message = str(refused.value)
    assert str(tmp_path) in message
    assert f"/.{name}." not in message  # a path that is gone
    assert "File too large" in message
    assert "free" in message
    assert "\n" not in message
    gc.collect()  # so that what a failed write leaves behind complains in this test
    assert caplog.records == []
    assert capfd.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_cut_is_dropped_and_those_before_are_kept(full_disk, tmp_path):
    path, row = tmp_path / "results.jsonl", {"method": 400 * "x"}
    with full_disk(1000):
        append_json_line(path, row)
        append_json_line(path, row)
        with pytest.raises(GiftError, match="free some space"):
            append_json_line(path, row)
    end_last_line(path)
    assert path.read_text() == 2 * f"{json.dumps(row)}\n"


def test_a_set_may_be_read_by_whom_the_umask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        save_distilled(tmp_path / "set.safetensors", distilled_set())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "set.safetensors").stat().st_mode) == 0o640


def test_a_file_that_replaced_one_of_its_size_and_time_is_another(tmp_path):
    path, other = tmp_path / "images.npy", tmp_path / "other.npy"
    for one, content in ((path, b"first"), (other, b"other")):
        one.write_bytes(content)
        os.utime(one, (1e9, 1e9))
    before = file_state(path)
    assert file_state(path) == before
    other.replace(path)
    assert file_state(path)[:2] == before[:2]
    assert file_state(path) != before
