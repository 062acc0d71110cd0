"""GIFT's own cost: each loss and its gradient alone, on a batch of logits.

Command: `python -m benchmarks.losses`. A step's difference between two losses is far below a shared machine's noise;
the losses alone can be told apart.
"""

import statistics

import jax
import jax.numpy as jnp

from benchmarks.worker import timed
from gift_jax.losses import LOSSES
from gift_jax.reports.page import Table
from gift_jax.runtime import cli

CALLS = 200  # a round


def measure(name: str, batch: int, classes: int, rounds: int) -> list[float]:
    """Microseconds a call of the batch-mean loss and its gradient, a figure a round."""
    keys = jax.random.split(jax.random.key(0))
    student, teacher = (jax.random.normal(key, (batch, classes)) for key in keys)
    labels = jnp.arange(batch) % classes
    function = jax.jit(jax.value_and_grad(lambda logits: LOSSES[name](logits, teacher, labels).mean()))
    jax.block_until_ready(function(student))

    def calls() -> None:
        jax.block_until_ready([function(student) for _ in range(CALLS)][-1])

    return sorted(1e6 * timed(calls) / CALLS for _ in range(rounds))


def main(batch: int = 100, classes: tuple[int, ...] = (10, 100, 1000), rounds: int = 7) -> None:
    """Print a Markdown table.

    Args:
        batch: images.
        classes: numbers of classes.
        rounds: of 200 calls each.
    """
    table = [("loss", *(f"{count} classes, µs (range)" for count in classes))]
    for name in LOSSES:
        measured = (measure(name, batch, count, rounds) for count in classes)
        table.append((name, *(f"{statistics.median(us):.0f} ({us[0]:.0f} to {us[-1]:.0f})" for us in measured)))
    print(Table(table).markdown)


if __name__ == "__main__":
    cli.run(main, program="python -m benchmarks.losses")
