"""Which cases of a parametrised test `make test` runs, and which `make test-all` does."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def short_form(cases: Iterable[Any], kept: Collection[Any]) -> list[Any]:
    """The cases as parameters of a test, tuples as several; those that are not kept are `exhaustive`."""
    values = {case: case if isinstance(case, tuple) else (case,) for case in cases}
    marks = {case: () if case in kept else pytest.mark.exhaustive for case in values}
    return [pytest.param(*values[case], marks=marks[case]) for case in values]
