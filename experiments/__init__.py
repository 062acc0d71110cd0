"""One module per question: `python -m experiments.NAME`."""

from gift_jax.runtime.memory import start_with_huge_pages

start_with_huge_pages(__name__)
