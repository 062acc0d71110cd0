"""The exceptions: a mistake that the user can mend, a run asked to stop, a training that went astray."""

import contextlib
import difflib
import os
import re
from collections.abc import Iterable, Iterator


class GiftError(Exception):
    """A user's mistake: the message names the file or option and says how to mend it.

    Command lines print it as one sentence and exit with status 2; a library caller sees an exception.
    """


class Preempted(GiftError):
    """SIGTERM or Ctrl-C stopped a run after its state was saved; command lines exit with status 143."""


class Diverged(GiftError):
    """A training whose loss was no longer finite: for a grid of runs that is a result, not a mistake."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> GiftError:
    """The refusal of a name that is none of those known, with the nearest one. Args: what, that it should name."""
    names = [*known]
    near = difflib.get_close_matches(name.lower(), names, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return GiftError(f"{what} {name!r} is unknown; choose one of {', '.join(names)}{meant}")


def short_reason(error: BaseException) -> str:
    """What a foreign exception says, for a sentence of ours: its first line, at most 200 characters.

    Of TensorStore's, which name all of its settings too, only what the operating system said, if it did.
    """
    if isinstance(error, KeyError):
        return f"it has no {error}"
    text = re.sub(r" ?<[\w.]+ object at 0x\w+>", "", str(error)).strip() or type(error).__name__
    if code := re.search(r"\[os_error_code='(\d+)'\]", text):
        return os.strerror(int(code[1]))
    return text.splitlines()[0][:200]


@contextlib.contextmanager
def damage_as_gift_error(what: str, mend: str) -> Iterator[None]:
    """Turn whatever a library raises about a damaged file into `what (reason); mend`."""
    try:
        yield
    except GiftError:
        raise
    except PermissionError as error:
        raise GiftError(f"{what} ({short_reason(error)}); check its permissions") from None
    except Exception as error:
        raise GiftError(f"{what} ({short_reason(error)}); {mend}") from None


@contextlib.contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Say what an import is needed for, and which extra has it, where it is not installed."""
    try:
        yield
    except ImportError:
        raise GiftError(f"{what}; run `pip install 'gift-jax[{extra}]'`") from None
