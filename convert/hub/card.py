"""The card of a repository, README.md: a header that the Hub reads, and a data sheet for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """What a repository is going to be called, OWNER/NAME, and its licence in the Hub's words."""

    repo: str
    licence: str

    @property
    def name(self) -> str:
        """Without the owner."""
        return self.repo.rpartition("/")[2]


class Card(NamedTuple):
    """The parts of a card.

    header: the Hub's fields. title and lead: heading and first paragraph. sheet, provenance: rows of two tables.
    usage: title and code of each example, with the code's language.
    """

    header: Mapping[str, Any]
    title: str
    lead: str
    sheet: Mapping[str, object]
    provenance: Mapping[str, object]
    usage: Sequence[tuple[str, str, str]]

    def text(self) -> str:
        """The card in Markdown."""
        # JSON is YAML, too, and quotes what needs it.
        header = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in self.header.items())
        examples = "\n\n".join(f"{title}\n\n```{language}\n{code}\n```" for title, language, code in self.usage)
        return (
            f"---\n{header}\n---\n\n# {self.title}\n\n{self.lead}\n\n{_table(self.sheet)}\n\n"
            f"## Provenance\n\n{_table(self.provenance)}\n\n## Use\n\n{examples}\n"
        )


def _table(rows: Mapping[str, object]) -> str:
    lines = (f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items())
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
