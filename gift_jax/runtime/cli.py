"""Command lines: tyro over functions and frozen dataclasses, and one sentence for a user's mistake."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import tyro

import gift_jax
from gift_jax.errors import GiftError, Preempted
from gift_jax.runtime.files import cache_directory
from gift_jax.runtime.options import make_command


def run(command: Callable[..., Any] | dict[str, Callable[..., Any]], *, program: str) -> NoReturn:
    """Parse the command line, call the command (or the subcommand of that name) and exit.

    The exit status is 0, 2 after a GiftError (its sentence goes to standard error), 130 after Ctrl-C, and
    143 after a SIGTERM that found a state to save.
    """
    _keep_compiled()
    try:
        with exit_quietly_on_broken_pipe():
            _dispatch(command, with_installed_command_names(program))
    except Preempted as stop:
        sys.exit(_fail(str(stop), 143))
    except GiftError as error:
        sys.exit(_fail(str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_fail("stopped by the user", 130))
    sys.exit(0)


def _dispatch(command: Callable[..., Any] | dict[str, Callable[..., Any]], program: str) -> None:
    """Parse the options of a command, or of the one that is named first, and call it. Help ends with an example."""
    helping = bool({"-h", "--help"} & set(sys.argv[1:]))
    subcommands = command if isinstance(command, dict) else {}
    named = subcommands.get(sys.argv[1]) if len(sys.argv) > 1 else None
    known = {name: make_command(run, with_choices=helping and run is named) for name, run in subcommands.items()}
    single = make_command(command, with_choices=helping) if not isinstance(command, dict) else None
    try:
        if single is None:
            parsed = tyro.extras.subcommand_cli_from_dict({name: one.form for name, one in known.items()}, prog=program)
        else:
            parsed = tyro.cli(single.form, prog=program, description=with_installed_command_names(single.description))
    except SystemExit as stop:
        shown = single or known.get(sys.argv[1] if len(sys.argv) > 1 else "")
        if stop.code == 0 and shown and shown.example:
            print(f"example: {with_installed_command_names(shown.example)}")
        raise
    chosen = single or next(one for one in known.values() if one.form is type(parsed))
    chosen.call(parsed)


def with_installed_command_names(text: str) -> str:
    """A text with commands as they are run here: without a checkout, as `gift-jax convert` and `gift-jax evaluate`."""
    if (Path(gift_jax.__path__[0]).parent / "convert" / "families").is_dir():
        return text
    return text.replace("python -m convert", "gift-jax convert").replace("python -m experiments.", "gift-jax ")


@contextlib.contextmanager
def exit_quietly_on_broken_pipe() -> Iterator[None]:
    """Stop without complaint, with the shell's status for it, when nobody reads the output any more (`| head`)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at exit
        sys.exit(128 + 13)


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
    print(f"error: {with_installed_command_names(message)}", file=sys.stderr)
    return status
