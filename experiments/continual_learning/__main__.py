"""Run the study: `python -m experiments.continual_learning`."""

from gift_jax.runtime import cli

from . import main

if __name__ == "__main__":
    cli.run(main, program="python -m experiments.continual_learning")
