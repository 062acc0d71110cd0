"""Run the study: `python -m experiments.benchmark`."""

from gift_jax.runtime import cli

from . import main

if __name__ == "__main__":
    cli.run(main, program="python -m experiments.benchmark")
