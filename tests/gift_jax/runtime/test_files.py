"""What a full disk and missing permissions leave, one sentence and nothing half-written; and who may read a file."""

import errno
import gc
import io
import json
import os
import stat
import tarfile
from pathlib import Path

import numpy as np
import pytest
from folders import write_tree
from setups import INFO, distilled_set, make_variables

from gift_jax import save_distilled
from gift_jax.data.zca import fit_zca, save_zca
from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.readers.formats import read_images
from gift_jax.readers.request import SourceOptions
from gift_jax.reports.page import Picture, Section, write_page
from gift_jax.runtime.files import append_json_line, file_state, files_below, read_json_object, sha256, write_text
from gift_jax.studies.results import check_directory, end_last_line, read_results
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


@pytest.fixture
def forbid(monkeypatch):
    """Let the system refuse a path, and what is below it, as it does to users without permission."""

    def refuse(place):
        def refusing(call):
            def refused(path=".", *arguments, **options):
                if not isinstance(path, int) and Path(os.fsdecode(path)).is_relative_to(place):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fsdecode(path))
                return call(path, *arguments, **options)

            return refused

        for module, names in ((os, ("open", "scandir", "listdir", "mkdir")), (io, ("open",))):
            for name in names:
                monkeypatch.setattr(module, name, refusing(getattr(module, name)))

    return refuse


USES = {
    "a tree of images": ("set/cat", lambda root: read_images(root / "set", train=True)),
    "an archive": ("set.tar", lambda root: read_images(root / "set.tar", train=True)),
    "a list of labels": (
        "labels.txt",
        lambda root: read_images(root / "flat", train=False, reading=SourceOptions(labels=str(root / "labels.txt"))),
    ),
    "a folder to list": ("set", lambda root: files_below(root / "set")),
    "a file to digest": ("labels.txt", lambda root: sha256(root / "labels.txt")),
    "a description": ("labels.txt", lambda root: read_json_object(root / "labels.txt")),
    "results": ("labels.txt", lambda root: read_results(root / "labels.txt")),
    "a folder of results": ("set", lambda root: check_directory(root / "set")),
    "a text to write": ("set", lambda root: write_text(root / "set" / "x.txt", "x")),
    "a result to write": ("set", lambda root: append_json_line(root / "set" / "results.jsonl", {})),
}


@pytest.mark.parametrize("name", USES)
def test_what_is_forbidden_is_named(name, forbid, tmp_path):
    write_tree(tmp_path / "set", ("ant", "cat"), size=8)
    write_tree(tmp_path, ("flat",), size=8)
    (tmp_path / "labels.txt").write_text("")
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(tmp_path / "set", "set")
    place, use = USES[name]
    forbid(tmp_path / place)
    with pytest.raises(GiftError, match=r"Permission denied; check its permissions$") as refused:
        use(tmp_path)
    assert str(tmp_path / place.split("/")[0]) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_may_not_be_read_is_not_called_damaged():
    with pytest.raises(GiftError, match=r"x \(.*denied\); check its permissions"), damage_as_gift_error("x", "again"):
        raise PermissionError(errno.EACCES, "Permission denied")
