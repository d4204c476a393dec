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


class RigError(RunError):
    """The rig cannot go on: a lost link, a fault, a measurement that makes no sense.

    A rig that raises it has already set its motor to zero. The message is one line that a person can act on.
    """
