"""The exception for a mistake that the user can mend, and the one for a run that was asked to stop."""


class GiftError(Exception):
    """A user's mistake: the message names the file or option and says how to mend it.

    Command lines print it as one sentence and exit with status 2; a library caller sees an exception.
    """


class Preempted(GiftError):
    """SIGTERM stopped a run after its state was saved; command lines exit with status 143."""
