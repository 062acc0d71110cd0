"""`python -m experiments`: every command with what it does, in a line."""

import ast
from pathlib import Path

import rich
from rich.table import Table

from gift_jax.runtime.cli import exit_quietly_on_broken_pipe, with_installed_command_names
from gift_jax.runtime.source import parse

HERE = Path(__file__).parent


def commands() -> dict[str, str]:
    """What each command says of itself: the first line of its module, which is not imported for that."""
    names = {path.stem for path in HERE.glob("[!_]*.py")} | {path.parent.name for path in HERE.glob("*/__main__.py")}
    trees = {name: parse(f"{__package__}.{name}") for name in sorted(names)}
    return {name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in trees.items()}


def main() -> None:
    """Print the list."""
    print(with_installed_command_names("usage: python -m experiments.NAME [OPTIONS]; --help tells the options\n"))
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, line in commands().items():
        table.add_row(name, line)
    rich.print(table)
    converted = "\nTeachers, distilled sets and stored labels are converted by `python -m convert`."
    print(with_installed_command_names(converted))


if __name__ == "__main__":
    with exit_quietly_on_broken_pipe():
        main()
