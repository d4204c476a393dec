"""The program: `cartpole-robot`, the same as `python -m cartpole_robot`.

It handles signals before it imports the command line, which takes a while: a stop there is a stop like any other.
"""

import sys

from cartpole_robot.terminal.interrupts import sigterm_stops


def main() -> int:
    """Run the command line with the arguments of the process; returns its exit code."""
    with sigterm_stops():
        try:
            from cartpole_robot.commands.cli import main as run
            from cartpole_robot.commands.output import drop_unread_output

            try:
                return run()
            finally:
                drop_unread_output()
        except KeyboardInterrupt:
            print("cartpole-robot: stopped", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
