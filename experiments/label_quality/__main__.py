"""Run the study: `python -m experiments.label_quality`."""

from gift_jax.runtime import cli

from . import main

if __name__ == "__main__":
    cli.run(main, program="python -m experiments.label_quality")
