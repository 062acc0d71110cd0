"""Which cases of a parametrised test `make test` runs, and which `make test-all` does."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def short_form(cases: Iterable[Any], kept: Collection[Any]) -> list[Any]:
    """The cases as parameters of a test; those that are not kept are `exhaustive`, of its long form."""
    return [case if case in kept else pytest.param(case, marks=pytest.mark.exhaustive) for case in cases]
