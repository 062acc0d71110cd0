"""A training for processes of their own: `python trained_apart.py`, then a JSON line a training on standard input.

Each line `{"directory": ..., "pause": ..., "fail_after": ...}` is trained in a fork of this process, whose imports
are done and whose JAX has not started; answers are lines `started PID` and `ended STATUS`.
"""

import dataclasses
import functools
import json
import os
import resource
import sys
import time
from pathlib import Path

from setups import INFO, distilled_set, evaluation_set, random_teacher

from gift_jax.models import get_model
from gift_jax.optim import Optimizer
from gift_jax.recipes.recipe import Recipe
from gift_jax.runtime import cli
from gift_jax.task import train
from gift_jax.training.identity import digest
from gift_jax.training.resume import Checkpoints

EPOCHS, LARGEST = 12, 2**18  # less than the student's largest array, more than the log
STUDENT = get_model(dataclasses.replace(INFO.spec, options=(("width", 64),)))
RECIPE = Recipe(epochs=EPOCHS, batch_size=8, evaluations=6, augment="flip", optimizer=Optimizer("adamw", 1e-3))


def train_one(directory, pause=0.0, fail_after=None):
    """Train, saving every epoch; write what came out. After epoch fail_after no file may grow past LARGEST bytes."""
    done = []

    def on_epoch(epochs, loss):
        done.append(epochs)
        print(f"epoch {sum(done)}", flush=True)
        time.sleep(pause)
        if sum(done) == fail_after:
            resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))

    checkpoints = Checkpoints(Path(directory) / "checkpoints", epochs=1)
    parts = (RECIPE, STUDENT, distilled_set(), random_teacher(), evaluation_set())
    [run] = train(*parts, checkpoints=checkpoints, on_epoch=on_epoch)
    state = digest({"params": run.state.params, "statistics": run.state.batch_stats, "rest": list(run.state.opt_state)})
    result = {"state": state, "losses": run.losses.tolist(), "history": run.history}
    Path(directory, "result.json").write_text(json.dumps(result))


def serve():
    for line in sys.stdin:
        options = json.loads(line)
        child = os.fork()
        if child == 0:
            sys.stdout = open(options.pop("log"), "a")  # noqa: SIM115 -- of the process's whole life
            os.dup2(sys.stdout.fileno(), 1)
            os.dup2(sys.stdout.fileno(), 2)
            sys.argv = ["trained_apart"]
            cli.run(functools.partial(train_one, **options), program="trained_apart")
        print(f"started {child}", flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(f"ended {status}", flush=True)


if __name__ == "__main__":
    serve()
