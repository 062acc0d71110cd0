"""One small command in processes of their own: `experiments.evaluate` on a set of random digits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from setups import distilled_set

from gift_jax.data.distilled import save_distilled

COMMAND = ["-m", "experiments.evaluate", "--method", "random", "--dataset", "digits", "--model", "conv1", "--ipc", "2"]
OPTIONS = ["--criterion-name", "kl", "--epochs", "2", "--student-options", "width=4"]
FIGURES = ("top1_last", "top1_best", "top5_last", "seed", "history")


def write_set(place):
    """Write the set that `start` trains on."""
    labels = 4 * np.eye(10, dtype=np.float32)[np.arange(20) % 10]
    save_distilled(place / "set.safetensors", distilled_set(20, soft_labels=labels))


def start(place, out, *options, before=(), unset=(), closed=(), seeds="0", **changes):
    """Start the command: a process that writes `out/results.jsonl`."""
    environment = {name: value for name, value in os.environ.items() if name not in {"XLA_FLAGS", *unset}}
    paths = ["--distilled", place / "set.safetensors", "--out", out]
    arguments = [*COMMAND, *OPTIONS, *paths, *options, "--seeds", *seeds.split()]
    streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    # By a shell: closing them between fork and exec would be Python in a forked process.
    close = ["sh", "-c", f'exec "$@" {" ".join(f"{number}>&-" for number in closed)}', "sh"] if closed else []
    return subprocess.Popen(
        [*close, sys.executable, *before, *map(os.fspath, arguments)],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2]), **changes},
        **streams,
    )


def figures(out):
    """What the rows in a directory say, sorted by seed."""
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines()]
    return sorted(([row[name] for name in FIGURES] for row in rows), key=lambda row: row[3])
