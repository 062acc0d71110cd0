"""Names of the Hub, and what is downloaded of a repository; a function of the test stands for the download."""

import sys
from pathlib import Path
from unittest import mock

import pytest

from gift_jax.errors import GiftError
from gift_jax.readers import hub
from gift_jax.readers.hub import Repository, local, parse, title

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMES = {
    "hf://me/teacher": Repository("me/teacher"),
    "hf:/me/teacher": Repository("me/teacher"),  # as a Path has it
    "hf://me/teacher@v1.0": Repository("me/teacher", revision="v1.0"),
    "hf://datasets/me/set@refs/convert/parquet": Repository("me/set", "dataset", "refs/convert/parquet"),
    "hf://models/me/a.b@refs/pr/3/cda/x.zip": Repository("me/a.b", "model", "refs/pr/3", "cda/x.zip"),
    "hf://me/set/ipc50": Repository("me/set", path="ipc50"),
    "me/teacher": None,
    "/hf:/me/teacher": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert parse(name) == NAMES[name]
    if NAMES[name]:
        assert parse(str(NAMES[name])) == NAMES[name]


@pytest.mark.parametrize("name", ["hf://teacher", "hf://me/a b", "hf://me/teacher@", "hf:///me/teacher"])
def test_what_begins_as_a_name_and_is_none(name):
    with pytest.raises(GiftError, match=r"is no place on the Hub; give hf://OWNER/NAME"):
        parse(name)


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """What was asked for, in order; found is what a repository holds by its kind, or what is raised."""
    asked = []

    def answer(found):
        def download(repo, kind, revision, files):
            asked.append((repo, kind, revision, tuple(files)))
            if isinstance(found.get(kind), Exception):
                raise found[kind]
            for name in found[kind]:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).touch()
            return tmp_path

        monkeypatch.setattr(hub, "download", download)
        return asked

    return answer


def error(name):
    """One of huggingface_hub's exceptions; some want the server's response, which is not read."""
    kind = getattr(pytest.importorskip("huggingface_hub.errors"), name)
    try:
        return kind("no")
    except TypeError:
        return kind("no", response=mock.MagicMock())


def test_an_ordinary_path_is_left_alone(tmp_path, downloads):
    asked = downloads({})
    assert local(tmp_path, "set") == tmp_path
    assert asked == []


def test_of_a_teacher_safe_weights_come_first(tmp_path, downloads):
    asked = downloads({"model": ["config.json", "model.safetensors"]})
    assert local(Path("hf://me/t@v1"), "teacher") == tmp_path
    assert asked == [("me/t", "model", "v1", ("config.json", "*.safetensors"))]


def test_of_a_teacher_without_them_others_come_next(tmp_path, downloads):
    asked = downloads({"model": ["config.json"]})
    local(Path("hf://me/t"), "teacher")
    assert [files[1:] for *_, files in asked] == [("*.safetensors",), ("*.bin", "*.pth", "*.pt")]


def test_a_set_may_lie_in_a_repository_of_a_model(tmp_path, downloads):
    asked = downloads({"dataset": error("RepositoryNotFoundError"), "model": ["cda/x.zip"]})
    assert local(Path("hf://me/sets/cda"), "set") == tmp_path / "cda"
    assert [(kind, files) for _, kind, _, files in asked] == [
        ("dataset", ("cda", "cda/*")),
        ("model", ("cda", "cda/*")),
    ]
    with pytest.raises(GiftError, match=r"hf://models/me/sets/no: there is no no in it; check the path"):
        local(Path("hf://models/me/sets/no"), "set")


REASONS = {
    "RepositoryNotFoundError": "no such repository, or a private one; check the name",
    "GatedRepoError": "is open only to those who accepted its terms",
    "RevisionNotFoundError": "has no such revision",
    "LocalEntryNotFoundError": "the Hub cannot be reached, and no copy is here",
    "HfHubHTTPError": r"cannot be downloaded \(no\); try again",
}


@pytest.mark.parametrize("name", REASONS)
def test_a_download_that_fails_is_one_sentence(name, downloads):
    downloads({"dataset": error(name), "model": error(name)})
    with pytest.raises(GiftError, match=f"^hf://me/set: {REASONS[name]}"):
        local(Path("hf://me/set"), "set")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(GiftError, match=r"need huggingface_hub; run `pip install 'gift-jax\[hub\]'`"):
        local(Path("hf://me/set"), "set")


def test_the_download_keeps_what_it_asks_for(monkeypatch, tmp_path):
    """huggingface_hub itself, without a connection: a revision that is in its cache is given as it lies there."""
    constants = pytest.importorskip("huggingface_hub.constants")
    snapshot = tmp_path / "datasets--me--set" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "x.parquet").touch()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    found = local(Path(f"hf://me/set@{COMMIT}"), "set")
    assert found.samefile(snapshot)
    assert title(found) == f"hf://datasets/me/set@{COMMIT}"
    assert title(found / "x.parquet") == f"hf://datasets/me/set@{COMMIT}/x.parquet"
    assert title(tmp_path / "a" / ".." / "x.zip") == "x.zip"
