"""Cards of repositories on the Hub, in Markdown."""

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


def make_card(
    entry: Entry,
    lead: str,
    *,
    header: Mapping[str, Any],
    sheet: Mapping[str, object],
    provenance: Mapping[str, object],
    usage: Sequence[tuple[str, str, str]],
) -> str:
    """The card in Markdown: the Hub's fields, two tables, and examples, each a title, a language and code."""
    # JSON is YAML, too, and quotes what needs it.
    fields = {"license": entry.licence, **header}.items()
    head = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields)
    tables = (
        "\n".join(["| | |", "| --- | --- |", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items())])
        for rows in ({**sheet, "Licence": entry.licence}, provenance)
    )
    examples = "\n\n".join(f"{title}\n\n```{language}\n{code}\n```" for title, language, code in usage)
    about = "\n\n## Provenance\n\n".join(tables)
    return f"---\n{head}\n---\n\n# {entry.name}\n\n{lead}\n\n{about}\n\n## Use\n\n{examples}\n"


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
