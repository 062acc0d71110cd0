"""The answer that a report begins with: a picture, three sentences and the main table.

The sentences say what wins, by how much, and whether the difference is beyond noise.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from gift_jax.reports.page import Picture, Section
from gift_jax.reports.significance import GRAIN, Comparison
from gift_jax.reports.tables import Grid, number_of

TITLE = "Answer"
NAMED = 3  # so many columns or defeats are named one by one


class Words(NamedTuple):
    """How a sentence speaks of columns: `under` one of them, `optimizers` in the plural, or a phrase for each."""

    preposition: str
    plural: str
    phrases: Mapping[str, str] = MappingProxyType({})

    def one(self, column: str) -> str:
        """A column in a sentence: `under sgd`."""
        return self.phrases.get(column, f"{self.preposition} {column}")

    def some(self, columns: Sequence[str], total: int) -> str:
        """Some of all columns in a sentence: by name if they are few, or else by number."""
        if self.phrases:
            return listed([self.one(column) for column in columns])
        if len(columns) <= NAMED:
            return f"{self.preposition} {listed(columns)}"
        number = f"all {total}" if len(columns) == total else f"{len(columns)} of {total}"
        return f"{self.preposition} {number} {self.plural}"


class Lead(NamedTuple):
    """The subject's mean minus the best of the others' in a column, in percentage points."""

    column: str
    other: str
    points: float

    @property
    def sign(self) -> int:
        """1, 0 (equal, but for rounding) or -1."""
        return 0 if abs(self.points) < GRAIN else 1 if self.points > 0 else -1


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def leads(grid: Grid, subject: str) -> list[Lead]:
    """The subject against the best of the others in every column. Needs a second row."""
    found = []
    for column in grid.columns:
        other = next(row for row in grid.ranking(column) if row != subject)
        found.append(Lead(column, other, grid.cells[subject, column].mean - grid.cells[other, column].mean))
    return found


def sentences(
    grid: Grid, comparisons: Sequence[Comparison], subject: str, words: Words, figure: str = "mean", scope: str = ""
) -> str:
    """The three sentences. Args: comparisons, of the subject; figure and scope, see `what_wins` and `beyond_noise`."""
    if len(grid.rows) == 1:
        return f"{what_wins(grid, subject, words)} There is no difference to report. Nothing was tested."
    shown = subject if subject in grid.rows else overall_best(grid)
    last = beyond_noise(comparisons, subject, words, scope)
    if shown != subject:
        last = f"No difference was tested because `{subject}` was not run."
    return " ".join([what_wins(grid, shown, words, figure), by_how_much(leads(grid, shown), shown, words), last])


def overall_best(grid: Grid) -> str:
    """The row of the highest mean over all columns."""
    return max(grid.rows, key=lambda row: sum(grid.cells[row, column].mean for column in grid.columns))


def what_wins(grid: Grid, subject: str, words: Words, figure: str = "mean") -> str:
    """Where the subject is best, and what is best elsewhere. Args: figure, what is compared, such as `mean`."""
    if len(grid.rows) == 1:
        return f"Only `{grid.rows[0]}` was run."
    found, total = leads(grid, subject), len(grid.columns)
    ahead = _columns([lead for lead in found if lead.sign > 0])
    claims = [f"has the highest {figure} {words.some(ahead, total)}"] if ahead else []
    claims += [
        f"shares the highest {figure} with `{other}` {words.some(_columns(shared), total)}"
        for other, shared in by_other(found, 0).items()
    ]
    defeats = [f"`{other}` is ahead {words.some(_columns(lost), total)}" for other, lost in by_other(found, -1).items()]
    if not defeats:
        return f"`{subject}` {listed(claims)}."
    return f"`{subject}` {f'{listed(claims)};' if claims else 'does not win:'} {listed(defeats)}."


def by_other(found: Sequence[Lead], sign: int) -> dict[str, list[Lead]]:
    """Leads of one sign, by what the subject was compared with."""
    kept = [lead for lead in found if lead.sign == sign]
    others = dict.fromkeys(lead.other for lead in kept)
    return {other: [lead for lead in kept if lead.other == other] for other in others}


def _columns(found: Sequence[Lead]) -> list[str]:
    return [lead.column for lead in found]


def by_how_much(found: Sequence[Lead], subject: str, words: Words) -> str:
    """How far the subject leads the runner-up, and how far it trails the best where it loses."""
    ahead, behind = ([lead for lead in found if lead.sign == sign] for sign in (1, -1))
    runners = {lead.other for lead in ahead}
    runner = f"`{ahead[0].other}`, the runner-up," if len(runners) == 1 else "the runner-up"
    parts = [f"leads {runner} by {_span(ahead, words)}"] if ahead else []
    parts += [f"trails the best by {_span(behind, words)}"] if behind else []
    return f"{f'`{subject}`' if behind else 'It'} {listed(parts)}." if parts else "The means are equal."


def _span(found: Sequence[Lead], words: Words) -> str:
    """`1.0 points under sgd and 2.0 under adam`, or from the least to the most."""
    if len(found) > NAMED:
        order = sorted(found, key=lambda lead: abs(lead.points))
        least, most = order[0], order[-1]
        return f"{_points(least)} ({least.column}) to {_points(most)} points ({most.column})"
    first, *others = found
    return listed(
        [f"{_points(first)} points {words.one(first.column)}"]
        + [f"{_points(lead)} {words.one(lead.column)}" for lead in others]
    )


def _points(lead: Lead) -> str:
    return f"{abs(lead.points):.1f}" if abs(lead.points) >= 0.05 else "less than 0.1"


def beyond_noise(comparisons: Sequence[Comparison], subject: str, words: Words, scope: str = "") -> str:
    """How many differences are beyond noise, and which of them the subject loses. Args: scope, `At best, `, if any."""
    if not comparisons:
        return "No difference was tested."
    tested = [comparison for comparison in comparisons if comparison.verdict != "not testable"]
    if not tested:
        return "Nothing can be said about noise: one seed cannot be tested (n = 1)."
    numbers = sorted({c.n for c in tested})
    n = f"n = {numbers[0]}" if len(numbers) == 1 else f"n = {numbers[0]} to {numbers[-1]}"
    if len(comparisons) == 1:
        return _capital(f"{scope}{_SINGLE[tested[0].verdict].format(subject)} (paired t-test by seed, {n}).")
    count = Counter(c.verdict for c in tested)
    lost = sorted((c for c in tested if c.verdict == "worse"), key=lambda c: c.difference)
    untested = len(comparisons) - len(tested)
    if count["undecided"] == len(comparisons):
        return _capital(
            f"{scope}paired t-tests by seed (Holm, {n}) find none of {len(tested)} differences beyond noise."
        )
    return _capital(
        f"{scope}paired t-tests by seed (Holm, {n}) find {count['better'] or 'none'} of {len(tested)} "
        f"differences beyond noise for `{subject}` and {count['worse'] or 'none'} against it"
        + (f" ({_defeats(lost, words)})" if lost else "")
        + f"; {number_of(count['undecided'])} undecided"
        + (f", and {number_of(untested)} of one seed only" if untested else "")
        + "."
    )


def _defeats(lost: Sequence[Comparison], words: Words) -> str:
    """The worst of them by name; a column is named once if it follows itself."""
    named, before = [], ""
    for c in lost[:NAMED]:
        place = "" if c.column == before else f"{words.one(c.column)} "
        named.append(f"{place}to `{c.other}` by {-c.difference:.1f}")
        before = c.column
    return listed([*named, f"{len(lost) - NAMED} more below"] if len(lost) > NAMED else named)


_SINGLE = {
    "better": "the difference is beyond noise",
    "worse": "the difference against `{}` is beyond noise",
    "undecided": "the difference is within noise",
}


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def section(picture: Picture, text: str, table: str, note: str) -> Section:
    """The section that a report begins with. Args: note, what the table's figures are."""
    return Section(TITLE, [picture, text, table, note])
