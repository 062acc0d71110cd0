"""The one exception for a mistake that the user can mend."""


class GiftError(Exception):
    """A user's mistake: the message names the file or option and says how to mend it.

    Command lines print it as one sentence and exit with status 2; a library caller sees an exception.
    """
