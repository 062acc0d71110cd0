"""`python -m convert push`: a set or a teacher becomes a directory that can be uploaded to the Hub as it is."""

import re
from pathlib import Path

from gift_jax.errors import GiftError
from gift_jax.runtime.files import atomic_write, write_text
from gift_jax.teachers.teacher import INFO

from .sets import write_set
from .teachers import write_teacher

CARD = "README.md"


def push(source: Path, out: Path, *, repo: str, licence: str) -> None:
    """Write a set or a teacher as a repository's directory, whole or not at all, and say how it is uploaded.

    Args: source, a distilled set's file or a teacher's directory; repo, OWNER/NAME on the Hub; licence, as the Hub
    spells it. Raises: GiftError if source is neither, or out exists.
    """
    if out.exists():
        raise GiftError(f"{out}: exists, and is not replaced; give another --out, or remove it yourself")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII):
        raise GiftError(f"--repo is {repo!r}, expected OWNER/NAME")
    if not re.fullmatch(r"[\w.+-]+", licence, re.ASCII):
        raise GiftError(f"--license is {licence!r}, expected one of the Hub's words, such as mit or cc-by-4.0")
    if source.is_dir() and not (source / INFO).is_file():
        raise GiftError(f"{source}: is no teacher ({INFO} is missing); give one, or a distilled set's file")
    kind, write = ("model", write_teacher) if source.is_dir() else ("dataset", write_set)
    with atomic_write(out) as temporary:
        temporary.mkdir()
        card, summary = write(source, temporary, repo)
        write_text(temporary / CARD, card.text(repo, licence))
    print(f"written   {out}: {summary}; read its {CARD} before you upload it")
    print(f"upload    hf upload {repo} {out} . --repo-type {kind}")
