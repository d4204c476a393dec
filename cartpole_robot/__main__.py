"""`python -m cartpole_robot`, the same as the command `cartpole-robot`."""

import sys

from cartpole_robot.commands.cli import main

sys.exit(main())
