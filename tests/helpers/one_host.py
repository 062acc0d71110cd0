"""One of several processes of a training: `python one_host.py DIRECTORY EPOCHS`, with JAX's variables for hosts set."""

import dataclasses
import functools
import sys
from pathlib import Path

import jax
import numpy as np
from setups import train_digits

from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime import cli
from gift_jax.runtime.sharding import is_writer, join_hosts
from gift_jax.training.resume import Checkpoints

RECIPE = Recipe(epochs=2, batch_size=8, evaluations=2, augment="flip_crop", optimizer=Optimizer("sgd", 0.05))


train_all = functools.partial(train_digits, seeds=(0, 1, 2))


def flat(runs):
    """Losses, accuracies and all arrays of all runs, by name."""
    found = {}
    for run in runs:
        arrays = {"losses": run.losses, "history": run.history, **dict(enumerate(jax.tree.leaves(run.state)))}
        found |= {f"{run.seed}/{name}": np.asarray(value) for name, value in arrays.items()}
    return found


def main(directory, epochs):
    join_hosts()

    def on_epoch(epochs, loss):
        print(f"host {jax.process_index()}: loss {loss}", flush=True)

    recipe, checkpoints = dataclasses.replace(RECIPE, epochs=int(epochs)), Checkpoints(Path(directory) / "checkpoints")
    runs = train_all(recipe, checkpoints=checkpoints, on_epoch=on_epoch)
    found = flat(runs)
    if is_writer():
        np.savez(Path(directory) / "result.npz", **found)


if __name__ == "__main__":
    arguments, sys.argv = sys.argv[1:], sys.argv[:1]
    cli.run(lambda: main(*arguments), program="one_host")
