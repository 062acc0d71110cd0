"""`gift-jax COMMAND ...`, or `python -m gift_jax COMMAND ...`: every command of convert and of the experiments."""

import importlib.util
import runpy
import sys
from typing import NoReturn

from gift_jax.runtime import cli
from gift_jax.runtime.interrupts import end_on_interrupt
from gift_jax.runtime.memory import start_with_huge_pages


def find_package(name: str) -> str:
    """Where `convert` or `experiments` is: inside an installed gift_jax, else beside it in a checkout."""
    return f"gift_jax.{name}" if importlib.util.find_spec(f"gift_jax.{name}") else name


def is_command(module: str) -> bool:
    """Whether a module, or a package with a `__main__`, is there."""
    spec = importlib.util.find_spec(module)
    runs = spec and (spec.submodule_search_locations is None or importlib.util.find_spec(f"{module}.__main__"))
    return bool(runs)


def main() -> NoReturn:
    """Run `convert`, or the experiment of that name; without a name, or for help, list the commands."""
    start_with_huge_pages("gift-jax")
    end_on_interrupt()
    arguments = sys.argv[1:]
    if not arguments or arguments[0].startswith("-"):
        module = find_package("experiments")
    elif arguments[0] == "convert":
        module, arguments = find_package("convert"), arguments[1:]
    else:
        module = f"{find_package('experiments')}.{arguments[0]}"
        if arguments[0].isidentifier() and is_command(module):
            arguments = arguments[1:]
        else:  # the list says which command is meant
            module = find_package("experiments")
    sys.argv = [sys.argv[0], *arguments]
    if "." in module.removeprefix("gift_jax."):
        cli.check(module)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
