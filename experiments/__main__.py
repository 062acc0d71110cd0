"""`python -m experiments`: every command with what it does, in a line."""

import ast
from pathlib import Path

import rich
from rich.table import Table

from gift_jax.runtime.cli import exit_quietly_on_broken_pipe, with_installed_command_names

HERE = Path(__file__).parent


def commands() -> dict[str, str]:
    """What each command says of itself: the first line of its module, which is not imported for that."""
    paths = [*HERE.glob("[!_]*.py"), *(path.with_name("__init__.py") for path in HERE.glob("*/__main__.py"))]
    return dict(sorted((_command_name(path), _first_line(path)) for path in paths))


def _command_name(path: Path) -> str:
    return path.parent.name if path.name == "__init__.py" else path.stem


def _first_line(path: Path) -> str:
    document = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return document.partition("\n")[0]


def main() -> None:
    """Print the list."""
    print(with_installed_command_names("usage: python -m experiments.NAME [OPTIONS]; --help tells the options\n"))
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, line in commands().items():
        table.add_row(name, line)
    rich.print(table)
    print(
        with_installed_command_names(
            "\nTeachers, distilled sets and stored labels are converted by `python -m convert`."
        )
    )


if __name__ == "__main__":
    with exit_quietly_on_broken_pipe():
        main()
