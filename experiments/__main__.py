"""`python -m experiments`: every command with what it does, in a line."""

import ast
import difflib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import rich
from rich.table import Table

from gift_jax.runtime.cli import exit_quietly_on_broken_pipe, with_installed_command_names
from gift_jax.runtime.unimported import parse

HERE = Path(__file__).parent


def commands() -> dict[str, str]:
    """What each command says of itself: the first line of its module, which is not imported for that."""
    names = {path.stem for path in HERE.glob("[!_]*.py")} | {path.parent.name for path in HERE.glob("*/__main__.py")}
    trees = {name: parse(f"{__package__}.{name}") for name in sorted(names)}
    return {name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in trees.items()}


def right_command(arguments: Sequence[str]) -> str:
    """What is meant by arguments to the list, as a sentence: a command is a module, and its name comes first."""
    name, known = arguments[0], {name: f"python -m experiments.{name}" for name in commands()}
    known["convert"] = "python -m convert"
    listed = "`python -m experiments` lists the commands"
    if name.startswith("-"):
        return f"{name}: no command is named before it; {listed}"
    if name in known:
        return f"{name} is a command of its own; run `{shlex.join((*known[name].split(), *arguments[1:]))}`"
    near = difflib.get_close_matches(name, known, 1)
    return f"there is no command {name!r}; " + (f"did you mean `{known[near[0]]}`?" if near else listed)


def main() -> None:
    """Print the list; of arguments other than for help, say which command is meant."""
    arguments = sys.argv[1:]
    if arguments and not {"-h", "--help"} & {*arguments}:
        print(f"error: {with_installed_command_names(right_command(arguments))}", file=sys.stderr)
        sys.exit(2)
    print(with_installed_command_names("usage: python -m experiments.NAME [OPTIONS]; --help lists the options\n"))
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, line in commands().items():
        table.add_row(name, line)
    rich.print(table)
    converted = "\nTeachers, distilled sets and stored labels are converted by `python -m convert`."
    print(with_installed_command_names(converted))


if __name__ == "__main__":
    with exit_quietly_on_broken_pipe():
        main()
