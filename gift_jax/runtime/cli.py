"""Command lines: tyro over functions and frozen dataclasses, and one sentence for a user's mistake."""

import contextlib
import difflib
import hashlib
import importlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import tyro

import gift_jax
from gift_jax.errors import GiftError, Preempted
from gift_jax.runtime import devices, unimported
from gift_jax.runtime.files import cache_directory
from gift_jax.runtime.interrupts import raise_on_interrupt
from gift_jax.runtime.options import Command, InPlaceOf, make_command

Function: TypeAlias = Callable[..., Any]
NO_TORCH = "this command needs PyTorch; run `pip install 'gift-jax[torch]'`"


def run(command: Function | Mapping[str, Function], *, program: str) -> NoReturn:
    """Parse the command line, call the command (or the subcommand of that name) and exit.

    The exit status is 0, 2 after a GiftError (its sentence goes to standard error, `arguments` in backquotes as the
    options that they are), 130 after Ctrl-C, and 143 after a SIGTERM that found a state to save.
    """
    raise_on_interrupt()
    _keep_compiled()
    _compute_in_float32()
    with _mistakes_as_exit_status():
        chosen, parsed = _parse(command, program)
        _call(chosen, parsed)
    sys.exit(0)


def check(module: str) -> None:
    """Tell a mistake in the options of a module's `main`, or give its help, before the module is imported."""
    try:
        options, about = unimported.options(module)
    except Exception:  # such as options that a function makes: `run` then parses them
        return
    with _mistakes_as_exit_status():
        program = with_installed_command_names(f"python -m {module.removeprefix('gift_jax.')}")
        _parse_options(options, sys.argv[1:], program, about)
        _check_variables()


def _check_variables() -> None:
    """Raises: GiftError about a variable that JAX refuses when it is imported, such as JAX_DEFAULT_PRNG_IMPL=foo."""
    if not any(name.startswith("JAX_") for name in os.environ):
        return
    try:
        importlib.import_module("jax")
    except ValueError as error:
        name = re.search(r"jax_\w+", str(error), re.IGNORECASE)
        raise GiftError(
            f"JAX refuses a variable: {error}; set it to another value, or unset {name[0].upper() if name else 'it'}"
        ) from None


@contextlib.contextmanager
def _mistakes_as_exit_status() -> Iterator[None]:
    _open_streams()
    try:
        with exit_quietly_on_broken_pipe():
            yield
    except GiftError as error:
        _fail(str(error), 143 if isinstance(error, Preempted) else 2)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        _fail(NO_TORCH, 2)
    except KeyboardInterrupt:
        _fail("stopped by the user", 130)
    except PermissionError as error:  # of a directory in which a file was looked for
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}; check its permissions", 2)
    except Exception as error:
        if reason := devices.forbidden(error):
            _fail(reason, 2)
        raise


def _open_streams() -> None:
    """Have all three standard streams, whatever they are connected to, and print what a terminal lacks as escapes."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened, such as one of results, would get its number
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _compute_in_float32() -> None:
    """Turn JAX's 64-bit mode off: teachers, sets and results are of float32."""
    jax = sys.modules.get("jax")
    if os.environ.get("JAX_ENABLE_X64", "0").lower() not in ("0", "false", "no", "off", "f", "n", ""):
        print("warning: JAX_ENABLE_X64 is passed over; everything is computed in float32", file=sys.stderr)
        os.environ["JAX_ENABLE_X64"] = "0"
    if jax:
        jax.config.update("jax_enable_x64", False)


def _call(command: Command, parsed: Any) -> None:
    """Call a command. A library's messages name arguments, such as `class_order`, which are --class-order here."""
    _check_variables()
    try:
        command.call(parsed)
    except GiftError as error:
        spelt = {name: parameter.option for name, parameter in command.parameters.items()}
        text = re.sub(r"`(\w+)`", lambda match: spelt.get(match[1], match[0]), str(error))
        raise type(error)(text) from None


def _parse(command: Function | Mapping[str, Function], program: str) -> tuple[Command, Any]:
    """Parse the options of a command, or of the one that is named first. Help ends with an example."""
    arguments, program = sys.argv[1:], with_installed_command_names(program)
    if isinstance(command, Mapping):
        name = next(iter(arguments), "")
        if name not in command:
            if name and not name.startswith("-"):
                raise GiftError(f"{name!r} is no command of `{program}`{_nearest(name, command, program)}")
            forms = {name: make_command(function).form for name, function in command.items()}
            with _tyros_errors_as_sentences():
                tyro.extras.subcommand_cli_from_dict(forms, prog=program, args=arguments)
        command, program, arguments = command[name], f"{program} {name}", arguments[1:]
    return _parse_options(command, arguments, program)


def _parse_options(
    command: Function, arguments: list[str], program: str, about: str | None = None
) -> tuple[Command, Any]:
    for text in arguments:
        if any("\udc80" <= letter <= "\udcff" for letter in text):  # bytes that the locale has no letters for
            raise GiftError(f"{text!a}: is no text in the locale's encoding; set PYTHONUTF8=1, or a UTF-8 locale")
    helping = bool({"-h", "--help"} & set(arguments))
    chosen = make_command(command, with_choices=helping, about=about, arguments=arguments)
    spelt: dict[str, str] = {}
    for option in (text.partition("=")[0].replace("_", "-") for text in arguments if text.startswith("--")):
        if option not in (*chosen.options, "--help"):
            raise GiftError(f"{option} is no option of `{program}`{_nearest(option, chosen.options, program)}")
        if spelt.setdefault(name := chosen.options.get(option, option), option) != option:
            raise GiftError(f"{spelt[name]} and {option} are one option; give one of them")
    for one in chosen.parameters.values():
        for other in (mark.name for mark in one.marks(InPlaceOf)):
            if {one.name, other} <= spelt.keys():
                raise GiftError(f"{spelt[one.name]} and {spelt[other]} are given; give one of them")
    needed = [each.option for name, each in chosen.parameters.items() if each.is_required and name not in spelt]
    if needed and not helping:
        raise GiftError(f"`{program}` needs {' and '.join(needed)}; see --help")
    try:
        with _tyros_errors_as_sentences():
            text = with_installed_command_names(chosen.description)
            parsed = tyro.cli(chosen.form, prog=program, description=text, args=arguments)
    except GiftError as error:
        places = [name.upper() for name, each in chosen.parameters.items() if each.is_positional]
        if not places or not str(error).startswith("Missing from"):
            raise
        raise GiftError(f"`{program}` needs {' and '.join(places)}; see --help") from None
    except SystemExit:
        if chosen.example:
            print(f"example: {with_installed_command_names(chosen.example)}")
        raise
    chosen.check_files(parsed)
    return chosen, parsed


def _nearest(given: str, known: Iterable[str], program: str) -> str:
    if near := difflib.get_close_matches(given, [*known], 1):
        return f"; did you mean {near[0]}?"
    return f"; `{program} --help` lists them"


@contextlib.contextmanager
def _tyros_errors_as_sentences() -> Iterator[None]:
    """Raise what tyro says in a box as a GiftError; help goes its way."""
    terminal = sys.stderr
    with contextlib.redirect_stderr(io.StringIO()) as box:
        try:
            yield
            terminal.write(box.getvalue())
        except SystemExit as stop:
            if not stop.code:
                raise
            lines = (line.strip("│ ") for line in box.getvalue().splitlines() if line.startswith("│"))
            text = " ".join(lines).partition("──")[0].strip().rstrip(".")
            raise GiftError(f"{text}; see --help") from None


def with_installed_command_names(text: str) -> str:
    """A text with commands as they are run here: without a checkout, as `gift-jax convert` and `gift-jax evaluate`."""
    if (Path(gift_jax.__path__[0]).parent / "convert" / "families").is_dir():
        return text
    text = text.replace("python -m convert", "gift-jax convert").replace("python -m experiments.", "gift-jax ")
    return text.replace("python -m experiments", "gift-jax")


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


def _fail(message: str, status: int) -> NoReturn:
    print(f"error: {with_installed_command_names(message)}", file=sys.stderr)
    sys.exit(status)
