"""Students in training, shown on the terminal."""

from collections.abc import Sequence
from typing import Any

import jax

from gift_jax.runtime import progress
from gift_jax.runtime.sharding import make_mesh
from gift_jax.task import Task
from gift_jax.training.train import Run, choose_seeds


def train_shown(task: Task, title: str, seeds: Sequence[int], devices: int | None = None, **options: Any) -> list[Run]:
    """Train a student per seed and show how far they are. Args: devices, how many to use; options, of `Task.train`."""
    count, batch_size = len(seeds), task.program.batch_size
    if devices is None:
        mode = choose_seeds(count, batch_size)
    else:
        mode = "loop" if devices == 1 else make_mesh(count, batch_size, jax.devices()[:devices])
    with progress.display(title, count * task.recipe.epochs, "epochs") as advance:
        options["on_epoch"] = lambda epochs, loss: advance(epochs, f"loss {loss:.4g}")
        return task.train(seeds, seed_driver=mode, **options)
