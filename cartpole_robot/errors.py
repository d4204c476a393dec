"""The errors that the command line reports in one line."""


class UsageError(ValueError):
    """A mistake in a command, a file or a value.

    The message is one line: where it is, what was found, what was expected and what to do. The command line prints it
    without a traceback and exits with status 2.
    """


class RunError(RuntimeError):
    """A valid run that failed: a rig's fault, a training that diverged.

    The message is one line; the command line prints it without a traceback and exits with status 1.
    """


class RigError(RunError):
    """The rig cannot continue: a lost link, a fault, a measurement that makes no sense.

    A rig that raises it has already set its motor to zero. The message is one line that says what to do.
    """
