"""GIFT's own cost: each loss and its gradient alone, on a batch of logits.

Command: `python -m benchmarks.losses`. A step's difference between two losses is far below a shared machine's noise;
the losses alone can be told apart.
"""

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from gift_jax.losses import LOSSES
from gift_jax.runtime import cli

CALLS = 200  # a round


def measure(name: str, batch: int, classes: int, rounds: int) -> list[float]:
    """Microseconds a call of the batch-mean loss and its gradient, a figure a round."""
    keys = jax.random.split(jax.random.key(0))
    student, teacher = (jax.random.normal(key, (batch, classes)) for key in keys)
    labels = jnp.arange(batch) % classes
    function = jax.jit(jax.value_and_grad(lambda logits: LOSSES[name](logits, teacher, labels).mean()))
    jax.block_until_ready(function(student))
    return sorted(_round(lambda: function(student)) for _ in range(rounds))


def _round(call: Callable[[], jax.Array]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        result = call()
    jax.block_until_ready(result)
    return 1e6 * (time.perf_counter() - start) / CALLS


def main(batch: int = 100, classes: tuple[int, ...] = (10, 100, 1000), rounds: int = 7) -> None:
    """Print a Markdown table.

    Args:
        batch: images.
        classes: numbers of classes.
        rounds: of 200 calls each.
    """
    print("| loss | " + " | ".join(f"{count} classes, µs (range)" for count in classes) + " |")
    print("| --- |" + " ---: |" * len(classes))
    for name in LOSSES:
        cells = []
        for count in classes:
            figures = measure(name, batch, count, rounds)
            cells.append(f"{statistics.median(figures):.0f} ({figures[0]:.0f} to {figures[-1]:.0f})")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.losses")
