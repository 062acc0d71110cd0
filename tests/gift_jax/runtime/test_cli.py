"""What surrounds a command: exit statuses, the sentence on standard error, examples, and names of commands."""

import pytest

import gift_jax
from gift_jax.errors import GiftError, Preempted
from gift_jax.runtime.cli import with_installed_command_names


def fine(*, out: str = "x") -> None:
    """Do nothing.

    Example: `python -m convert fine --out y`
    """
    print(f"wrote {out}")


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


def test_a_subcommand_is_chosen_by_its_name(command_line):
    def other() -> None:
        """Not this one."""
        raise AssertionError

    assert command_line({"fine": fine, "other": other}, "program", "fine", "--out", "z")[:2] == (0, "wrote z\n")


@pytest.mark.parametrize("arguments", [["--help"], ["fine", "-h"]])
def test_help_ends_with_an_example(arguments, command_line):
    command = fine if len(arguments) == 1 else {"fine": fine}
    status, out, _ = command_line(command, "program", *arguments)
    assert status == 0
    assert out.rstrip().endswith("example: python -m convert fine --out y")


def test_commands_are_named_as_they_are_run_here(monkeypatch, tmp_path):
    text = "run `python -m convert teacher`, then `python -m experiments.evaluate`"
    assert with_installed_command_names(text) == text  # in a checkout
    monkeypatch.setattr(gift_jax, "__path__", [str(tmp_path / "site-packages" / "gift_jax")])
    assert with_installed_command_names(text) == "run `gift-jax convert teacher`, then `gift-jax evaluate`"
