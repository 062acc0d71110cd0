"""A training for processes of their own: `python trained_apart.py`, then a directory a line on standard input.

Each is trained in by a fork of this process, whose imports are done and whose JAX has not started. Answers are the
fork's process number and, once it has ended, its exit status.
"""

import dataclasses
import functools
import json
import os
import sys
from pathlib import Path

from setups import INFO, distilled_set, evaluation_set, random_teacher

from gift_jax.models import get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime import cli
from gift_jax.task import train
from gift_jax.training.identity import digest
from gift_jax.training.resume import Checkpoints

STUDENT = get_model(dataclasses.replace(INFO.spec, options=(("width", 64),)))
RECIPE = Recipe(epochs=12, batch_size=8, evaluations=6, augment="flip", optimizer=Optimizer("adamw", 1e-3))


def train_one(directory):
    """Train, saving every epoch; write what came out."""
    checkpoints = Checkpoints(directory / "checkpoints", epochs=1)
    parts = (RECIPE, STUDENT, distilled_set(), random_teacher(), evaluation_set())
    [run] = train(*parts, checkpoints=checkpoints)
    state = digest({"params": run.state.params, "statistics": run.state.batch_stats, "rest": list(run.state.opt_state)})
    result = {"state": state, "losses": run.losses.tolist(), "history": run.history}
    (directory / "result.json").write_text(json.dumps(result))


def serve():
    for line in sys.stdin:
        directory = Path(line.strip())
        child = os.fork()
        if child == 0:
            with (directory / "log").open("a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            sys.argv = ["trained_apart"]
            cli.run(functools.partial(train_one, directory), program="trained_apart")
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
