"""`python -m experiments`: every command with what it does, in a line."""

import ast
import pkgutil
from pathlib import Path

import rich
from rich.table import Table

from gift_jax.runtime.cli import exit_quietly_on_broken_pipe, with_installed_command_names

HERE = Path(__file__).parent


def commands() -> dict[str, str]:
    """What each command says of itself: the first line of its module, which is not imported for that."""
    names = [module.name for module in pkgutil.iter_modules([str(HERE)]) if not module.ispkg]
    return {name: _first_line(HERE / f"{name}.py") for name in names if not name.startswith("_")}


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
