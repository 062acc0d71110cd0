"""How long a training is going to take, said as soon as it can be told."""

import time

from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.progress import Advance


class Estimate:
    """An `Advance` that also prints the time that is left: when epochs are measured, and again with evaluations.

    It is called at the end of every epoch, before the evaluation that may follow. The first epoch and the first
    evaluation are left out, since they are compiled then; both lie behind when the time that is left is said.
    """

    def __init__(self, advance: Advance, recipe: Recipe, students: int, *, side_by_side: int = 1) -> None:
        """Args: advance, what is called besides; students, how many there will be, so many of them side by side."""
        self._advance, self._recipe, self._students, self._rows = advance, recipe, students, side_by_side
        self._ended = 0  # epochs, of all rounds of students
        self._compiled, self._looked, self._told = False, False, False
        self._last = 0.0
        self._epoch: float | None = None

    def __call__(self, done: int, status: str) -> None:
        """An epoch has ended. Args: as of `Advance`."""
        self._advance(done, status)
        now, epochs = time.monotonic(), max(done // self._rows, 1)
        looked = self._looks(self._ended) > self._looks(self._ended - 1)
        self._ended += epochs
        if self._compiled and epochs == 1 and not self._told:
            self._measure(now - self._last, looked)
        # Several epochs at once were done before: the next one is the first.
        self._compiled = self._compiled or epochs == 1
        self._last = now

    def _measure(self, seconds: float, looked: bool) -> None:
        """Args: seconds from the end of an epoch to the end of the next, and whether an evaluation was between."""
        if looked and not self._looked:
            self._looked = True
        elif not looked and self._epoch is None:
            self._epoch = seconds
            self._say(f"{duration(seconds)} an epoch", seconds, 0.0, ", evaluations not counted")
        elif looked and self._epoch is None:
            self._told = True
            self._say(f"{duration(seconds)} an epoch with its evaluation", seconds, 0.0, "")
        elif looked and self._epoch is not None:
            self._told = True
            look = max(seconds - self._epoch, 0.0)
            self._say(f"{duration(self._epoch)} an epoch and {duration(look)} an evaluation", self._epoch, look, "")

    def _looks(self, ended: int) -> int:
        """How many evaluations follow upon the first so many epochs."""
        rounds, epochs = divmod(max(ended, 0), self._recipe.epochs)
        return rounds * self._recipe.num_evaluations + sum(map(self._recipe.is_evaluated, range(1, epochs + 1)))

    def _say(self, costs: str, epoch: float, look: float, note: str) -> None:
        total = -(-self._students // self._rows) * self._recipe.epochs
        # The evaluation after the epoch that has just ended is still to come.
        looks = self._looks(total) - self._looks(self._ended - 1)
        left = epoch * (total - self._ended) + look * looks
        several = f"{self._students} students of " if self._students > 1 else ""
        print(f"time: {costs}, about {duration(left)} left for {several}{self._recipe.epochs} epochs{note}", flush=True)


def duration(seconds: float) -> str:
    """A time in two or three digits: `0.84 s`, `95 s`, `14 min`, `3.2 h`."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
