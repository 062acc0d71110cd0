"""Command lines: tyro over functions and frozen dataclasses, and one sentence for a user's mistake."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import tyro

from gift_jax.errors import GiftError


def run(command: Callable[..., Any] | dict[str, Callable[..., Any]], *, program: str) -> NoReturn:
    """Parse the command line, call the command (or the subcommand of that name) and exit.

    The exit status is 0, 2 after a GiftError (its sentence goes to standard error) and 130 after Ctrl-C.
    """
    try:
        if isinstance(command, dict):
            tyro.extras.subcommand_cli_from_dict(command, prog=program)
        else:
            tyro.cli(command, prog=program)
    except GiftError as error:
        sys.exit(_fail(str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_fail("stopped by the user", 130))
    sys.exit(0)


def _fail(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status
