"""What may not be read or written is named in one sentence that says to check permissions, for any user, also root."""

import errno
import io
import os
import tarfile
from pathlib import Path

import pytest
from folders import write_tree

from gift_jax.errors import GiftError, damage_as_gift_error
from gift_jax.readers.formats import read_images
from gift_jax.readers.request import SourceOptions
from gift_jax.runtime.files import append_json_line, files_below, read_json_object, sha256, write_text
from gift_jax.studies.results import check_directory, read_results


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
