"""What surrounds a command: exit statuses, the sentence on standard error, examples, and names of commands."""

import sys

import pytest

import gift_jax
from gift_jax.errors import GiftError, Preempted
from gift_jax.runtime import cli
from gift_jax.runtime.cli import with_installed_command_names


@pytest.mark.parametrize(
    ("error", "status"), [(GiftError("no such file"), 2), (Preempted("saved"), 143), (KeyboardInterrupt(), 130)]
)
def test_a_failure_is_a_sentence_and_a_status(error, status, command_line):
    def fails() -> None:
        """Fail."""
        raise error

    code, _, text = command_line(fails, "fails")
    assert code == status
    assert text.startswith("error: ")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--uot", "x"), "--uot is no option of `program`; did you mean --out?"),
        (("--nothing", "x"), "--nothing is no option of `program`; `program --help` lists them"),
        (("--out",), "Missing value for argument '--out'"),
        (("--out", "x", "y"), "Unrecognized options: y"),
        ((), "`program` needs --out"),
    ],
)
def test_mistakes_in_options_look_like_others(arguments, message, command_line):
    def writes(*, out: str) -> None:
        """Write."""

    status, out, text = command_line(writes, "program", *arguments)
    assert (status, out) == (2, "")
    assert text.startswith(f"error: {message}")
    assert text.count("\n") == 1
    with_subcommands = command_line({"writes": writes}, "program", "wrties")
    assert with_subcommands == (2, "", "error: 'wrties' is no command of `program`; did you mean writes?\n")


def test_arguments_in_a_library_s_message_are_options_of_the_command(command_line):
    def reads(*, class_order: str = "") -> None:
        """Read."""
        raise GiftError("drop `class_order`, or give `ipc`")

    assert command_line(reads, "program")[2] == "error: drop --class-order, or give `ipc`\n"


@pytest.mark.parametrize("arguments", [["--help"], ["fine", "-h"]])
def test_help_ends_with_an_example(arguments, command_line):
    def fine() -> None:
        """Do nothing.

        Example: `python -m convert fine`
        """

    command = fine if len(arguments) == 1 else {"fine": fine}
    status, out, _ = command_line(command, "program", *arguments)
    assert status == 0
    assert out.rstrip().endswith("example: python -m convert fine")


def test_commands_are_named_as_they_are_run_here(monkeypatch, tmp_path):
    text = "run `python -m convert teacher`, then `python -m experiments.evaluate`"
    assert with_installed_command_names(text) == text  # in a checkout
    monkeypatch.setattr(gift_jax, "__path__", [str(tmp_path / "site-packages" / "gift_jax")])
    assert with_installed_command_names(text) == "run `gift-jax convert teacher`, then `gift-jax evaluate`"


def test_no_permission_is_one_sentence(monkeypatch, capsys):
    def main() -> None:
        """Look for a file in a directory that may not be read."""
        raise PermissionError(13, "Permission denied", "sets/one")

    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(SystemExit) as ended:
        cli.run(main, program="program")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: sets/one: Permission denied; check its permissions\n"
