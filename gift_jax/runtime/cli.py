"""Command lines: tyro over functions and frozen dataclasses, and one sentence for a user's mistake."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import tyro

from gift_jax.errors import GiftError, Preempted
from gift_jax.runtime.files import cache_directory


def run(command: Callable[..., Any] | dict[str, Callable[..., Any]], *, program: str) -> NoReturn:
    """Parse the command line, call the command (or the subcommand of that name) and exit.

    The exit status is 0, 2 after a GiftError (its sentence goes to standard error), 130 after Ctrl-C, and
    143 after a SIGTERM that found a state to save.
    """
    _keep_compiled()
    try:
        if isinstance(command, dict):
            tyro.extras.subcommand_cli_from_dict(command, prog=program)
        else:
            tyro.cli(command, prog=program)
    except Preempted as stop:
        sys.exit(_fail(str(stop), 143))
    except GiftError as error:
        sys.exit(_fail(str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_fail("stopped by the user", 130))
    sys.exit(0)


def _keep_compiled() -> None:
    """Have JAX keep what it compiles from run to run, where the user did not set its variables otherwise.

    By kind of processor: what was compiled for one may hold instructions that another lacks.
    """
    with contextlib.suppress(OSError):
        flags = {
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Features"))
        }
        kind = hashlib.sha256("".join(sorted(flags)).encode()).hexdigest()[:8]
        settings = {
            "jax_compilation_cache_dir": str(cache_directory("compiled") / kind),
            "jax_persistent_cache_min_compile_time_secs": 0.1,
        }
        jax = sys.modules.get("jax")  # commands that need it only later read the variables
        for name, value in settings.items():
            if os.environ.setdefault(name.upper(), str(value)) == str(value) and jax:
                jax.config.update(name, value)


def _fail(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return status
