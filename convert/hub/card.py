"""Cards of repositories on the Hub, in Markdown."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Card(NamedTuple):
    """What a card says: a sentence, the Hub's fields, two tables, and examples, each a title, a language and code."""

    lead: str
    header: Mapping[str, Any]
    sheet: Mapping[str, object]
    provenance: Mapping[str, object]
    usage: Sequence[tuple[str, str, str]]

    def text(self, repo: str, licence: str) -> str:
        """The card in Markdown. Args: repo, OWNER/NAME; licence, in the Hub's words."""
        # JSON is YAML, too, and quotes what needs it.
        fields = {"license": licence, **self.header}.items()
        head = "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields)
        tables = ({**self.sheet, "Licence": licence}, self.provenance)
        examples = "\n\n".join(f"{title}\n\n```{language}\n{code}\n```" for title, language, code in self.usage)
        about = "\n\n## Provenance\n\n".join(map(_table, tables))
        return f"---\n{head}\n---\n\n# {repo.partition('/')[2]}\n\n{self.lead}\n\n{about}\n\n## Use\n\n{examples}\n"


def _table(rows: Mapping[str, object]) -> str:
    cells = ([" ".join(str(cell).replace("|", "\\|").split()) for cell in row] for row in rows.items())
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in cells)])
