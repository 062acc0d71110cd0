"""How long a training is going to take, said as soon as it can be told."""

import time

from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime.progress import Advance, duration


class Estimate:
    """An `Advance` that also prints the time that is left: when epochs are measured, and again with evaluations.

    It is called at the end of every epoch, before the evaluation that may follow. The first epoch and the first
    evaluation are left out, since they are compiled then; both lie behind when the time that is left is said.
    """

    def __init__(self, advance: Advance, recipe: Recipe, students: int, *, side_by_side: int = 1) -> None:
        """Args: advance, what is called besides; students, how many there will be, so many of them side by side."""
        self._advance, self._recipe, self._students, self._rows = advance, recipe, students, side_by_side
        self._ended, self._last = 0, 0.0  # epochs, of all rounds of students, and when the last one ended
        self._compiled, self._evaluated, self._told = False, False, False
        self._epoch: float | None = None

    def __call__(self, done: int, status: str) -> None:
        """An epoch has ended. Args: as of `Advance`."""
        self._advance(done, status)
        if not done:  # what came before was taken up: the next epoch is the first
            self._compiled, self._last = False, time.monotonic()
            return
        now, epochs = time.monotonic(), max(done // self._rows, 1)
        evaluated = self._evaluations(self._ended) > self._evaluations(self._ended - 1)
        seconds, self._last, self._ended = now - self._last, now, self._ended + epochs
        if epochs > 1 or self._told:
            return
        if not self._compiled:
            self._compiled = True
        elif evaluated and not self._evaluated:
            self._evaluated = True
        elif evaluated:
            self._told, epoch = True, seconds if self._epoch is None else self._epoch
            evaluation = max(seconds - epoch, 0.0)
            other = "with its evaluation" if self._epoch is None else f"and {duration(evaluation)} an evaluation"
            self._say(f"{duration(epoch)} an epoch {other}", epoch, evaluation)
        elif self._epoch is None:
            self._epoch = seconds
            self._say(f"{duration(seconds)} an epoch", seconds, note=", evaluations not counted")

    def _evaluations(self, ended: int) -> int:
        """How many follow upon the first so many epochs."""
        rounds, epochs = divmod(max(ended, 0), self._recipe.epochs)
        return rounds * self._recipe.num_evaluations + self._recipe.evaluations_until(epochs)

    def _say(self, costs: str, epoch: float, evaluation: float = 0.0, note: str = "") -> None:
        total = -(-self._students // self._rows) * self._recipe.epochs
        # The evaluation after the epoch that has just ended is still to come.
        evaluations = self._evaluations(total) - self._evaluations(self._ended - 1)
        left = epoch * (total - self._ended) + evaluation * evaluations
        several = f"{self._students} students of " if self._students > 1 else ""
        print(f"time: {costs}, about {duration(left)} left for {several}{self._recipe.epochs} epochs{note}", flush=True)
