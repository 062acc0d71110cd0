"""How long a training is going to take, said as soon as it can be told."""

import time

from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.progress import Advance


class Estimate:
    """An `Advance` that also prints the time all students take: when epochs are measured, and again with evaluations.

    It is called at the end of every epoch, before the evaluation that may follow. The first epoch is left out, since
    the step is compiled in it; the first evaluation counts with its compilation.
    """

    def __init__(self, advance: Advance, recipe: Recipe, students: int, *, side_by_side: int = 1) -> None:
        """Args: advance, what is called besides; students, how many there will be, so many of them side by side."""
        self._advance, self._recipe, self._students, self._rows = advance, recipe, students, side_by_side
        self._ended = 0  # epochs
        self._compiled = False
        self._last = 0.0
        self._epoch: float | None = None
        self._told = False

    def __call__(self, done: int, status: str) -> None:
        """An epoch has ended. Args: as of `Advance`."""
        self._advance(done, status)
        now, epochs = time.monotonic(), max(done // self._rows, 1)
        if self._compiled and self._ended < self._recipe.epochs and not self._told:
            self._measure(now - self._last, self._recipe.is_evaluated(self._ended))
        # Several epochs at once were done before: the next one is the first.
        self._compiled = self._compiled or epochs == 1
        self._ended, self._last = self._ended + epochs, now

    def _measure(self, seconds: float, evaluated: bool) -> None:
        """Args: seconds from the end of an epoch to the end of the next, and whether an evaluation was between."""
        if not evaluated and self._epoch is None:
            self._epoch = seconds
            self._say(f"{duration(seconds)} an epoch", seconds * self._recipe.epochs, "evaluations not counted")
        elif evaluated and self._epoch is None:
            self._told = True
            self._say(f"{duration(seconds)} an epoch with its evaluation", seconds * self._recipe.epochs, "")
        elif evaluated and self._epoch is not None:
            self._told = True
            look = max(seconds - self._epoch, 0.0)
            looks = sum(map(self._recipe.is_evaluated, range(1, self._recipe.epochs + 1)))
            costs = f"{duration(self._epoch)} an epoch and {duration(look)} an evaluation"
            self._say(costs, self._epoch * self._recipe.epochs + look * looks, "")

    def _say(self, costs: str, seconds: float, note: str) -> None:
        students = f"{self._students} student{'s' if self._students > 1 else ''}"
        rounds = -(-self._students // self._rows)
        work = f"about {duration(rounds * seconds)} for {students} of {self._recipe.epochs} epochs"
        print(f"time: {costs}, {work}{note and f', {note}'}", flush=True)


def duration(seconds: float) -> str:
    """A time in two or three digits: `0.84 s`, `95 s`, `14 min`, `3.2 h`."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
