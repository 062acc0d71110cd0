"""The exceptions for a mistake that the user can mend, and for a training that went astray."""


class GiftError(Exception):
    """A user's mistake: the message names the file or option and says how to mend it.

    Command lines print it as one sentence and exit with status 2; a library caller sees an exception.
    """


class Diverged(GiftError):
    """A training whose loss was no longer finite: for a grid of runs that is a result, not a mistake."""
