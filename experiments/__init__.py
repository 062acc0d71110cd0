"""One module per question: `python -m experiments.NAME`."""

from gift_jax.runtime.interrupts import end_on_interrupt
from gift_jax.runtime.memory import command_module, start_with_huge_pages

start_with_huge_pages(__name__)
if module := command_module(__name__):
    end_on_interrupt()
    from gift_jax.runtime import cli

    cli.check(module)
