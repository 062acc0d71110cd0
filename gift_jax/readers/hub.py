"""Repositories of the Hugging Face Hub, `hf://OWNER/NAME[@REVISION][/PATH]`, as directories on disk.

Reference: the names are those of `huggingface_hub.HfFileSystem`, in which a dataset's begin with `datasets/`; here that
may be left out, because what is named tells which one is meant.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from gift_jax.errors import GiftError, needing, short_reason

Purpose = Literal["set", "teacher"]
# Paths have lost one of the slashes.
_NAME = re.compile(
    r"hf:/{1,2}(?:(datasets|models)/)?([\w.-]+/[\w.-]+)(?:@(refs/(?:convert|pr)/[^/]+|[^/@]+))?(?:/(.+))?", re.ASCII
)
_CACHED = re.compile(r".*/(models|datasets)--([^/]+?)--([^/]+)/snapshots/([^/]+)(/.+)?")
# The kinds of repository to look in, the usual one first, and the files to take: the next ones if there are none.
_KINDS: Mapping[Purpose, tuple[str, ...]] = {"set": ("dataset", "model"), "teacher": ("model",)}
CONFIG = "config.json"
_FILES: Mapping[Purpose, tuple[tuple[str, ...], ...]] = {
    "set": (("*",),),
    "teacher": ((CONFIG, "*.safetensors"), (CONFIG, "*.bin", "*.pth", "*.pt")),
}
# By huggingface_hub's exceptions.
_REASONS: Mapping[str, str] = {
    "GatedRepoError": "is open only to those who accepted its terms; do so on its page, then run `hf auth login`",
    "RepositoryNotFoundError": "no such repository, or a private one; check the name, or run `hf auth login`",
    "RevisionNotFoundError": "has no such revision; check what stands behind @",
    "HFValidationError": "is no name of a repository; give hf://OWNER/NAME",
    "LocalEntryNotFoundError": "the Hub cannot be reached, and no copy is here; check the connection, or download "
    "it elsewhere and give the directory",
}


class Repository(NamedTuple):
    """A repository, its kind if that is said (dataset or model), a revision, and a file or folder in it."""

    repo: str
    kind: str | None = None
    revision: str | None = None
    path: str | None = None

    def __str__(self) -> str:
        kind, revision = f"{self.kind}s/" if self.kind else "", f"@{self.revision}" if self.revision else ""
        return f"hf://{kind}{self.repo}{revision}" + (f"/{self.path}" if self.path else "")


def parse(path: Path | str) -> Repository | None:
    """The place on the Hub that a path stands for; None of an ordinary path."""
    if not str(path).startswith("hf:/"):
        return None
    match = _NAME.fullmatch(str(path))
    if match is None:
        shown = re.sub("^hf:/+", "hf://", str(path))
        raise GiftError(f"{shown}: is no place on the Hub; give hf://OWNER/NAME, with @REVISION or /PATH behind it")
    kind, repo, revision, inside = match.groups()
    return Repository(repo, kind and kind.removesuffix("s"), revision, inside)


def local(path: Path, wanted: Purpose) -> Path:
    """The path; of a place on the Hub what was downloaded of it, a directory or the file that is named in it."""
    place = parse(path)
    if place is None:
        return path
    print(f"download  {place}", flush=True)
    if place.path:
        found = _downloaded(place, wanted, (place.path, f"{place.path}/*")) / place.path
        if not found.exists():
            raise GiftError(f"{place}: there is no {place.path} in it; check the path")
        return found
    directory = path
    for files in _FILES[wanted]:
        directory = _downloaded(place, wanted, files)
        if any(file.name != CONFIG for file in directory.rglob("*")):
            break
    return directory


def _downloaded(place: Repository, wanted: Purpose, files: Sequence[str]) -> Path:
    """Of the first kind of repository that has this name. Raises: GiftError about the last one."""
    refusal = GiftError(str(place))
    for kind in (place.kind,) if place.kind else _KINDS[wanted]:
        try:
            return download(place.repo, kind, place.revision, files)
        except GiftError:
            raise
        except Exception as error:  # huggingface_hub, and the client below it, raise what they like
            names = [base.__name__ for base in type(error).__mro__]
            reason = next((_REASONS[name] for name in names if name in _REASONS), None)
            refusal = GiftError(f"{place}: {reason or f'cannot be downloaded ({short_reason(error)}); try again'}")
            if names[0] not in ("RepositoryNotFoundError", "LocalEntryNotFoundError"):
                break  # else a repository of another kind may have the name
    raise refusal


def download(repo: str, kind: str, revision: str | None, files: Sequence[str]) -> Path:
    """Download a repository's files, by patterns, into the Hub's cache. Returns: the directory of that revision."""
    with needing("hub", "names of the Hub (hf://) need huggingface_hub"):
        from huggingface_hub import snapshot_download
    return Path(snapshot_download(repo, repo_type=kind, revision=revision, allow_patterns=list(files)))


def title(path: Path) -> str:
    """What a source is called where it came from: its place on the Hub with the commit, else its base name."""
    match = _CACHED.fullmatch(path.absolute().as_posix())
    if match is None:
        return path.resolve().name
    kinds, owner, name, commit, inside = match.groups()
    return f"hf://{'datasets/' if kinds == 'datasets' else ''}{owner}/{name}@{commit}{inside or ''}"
