"""The error that a user can mend."""


class UsageError(ValueError):
    """A mistake in a command, a file or a value.

    The message is one line: where it is, what came, what was expected and what to do. The command line prints it
    without a traceback and exits with status 2.
    """


class RunError(RuntimeError):
    """A run that failed though it was asked for rightly: a rig's fault, a training that diverged.

    The message is one line; the command line prints it without a traceback and exits with status 1.
    """
