"""Make the cart of the site's front page: `docs/_static/page.html`, with a policy of each of two presets.

    python -m docs.live_page

The policies are trained once, which takes about half a minute, and stay in `docs/_build/policies`. Without the tools
that compile the firmware for a browser, the site has no cart, and this prints which packages are missing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cartpole_robot.errors import UsageError
from cartpole_robot.page.offline import write_offline_page
from docs.extension.fill import DOCS, LIVE_PAGE

PAGE = DOCS / "_static" / LIVE_PAGE
POLICIES = DOCS / "_build" / "policies"
CART, PRESETS = "diy_arduino", ("precise", "recommended")


def trained(preset: str) -> Path:
    """The run folder of that preset; trains it where there is none. Raises `CalledProcessError`."""
    folder = POLICIES / preset
    if not (folder / "policy.npz").exists():
        command = [sys.executable, "-m", "cartpole_robot", "train", "--preset", preset, "--cart", CART, "--seed", "0"]
        subprocess.run([*command, "--out", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return folder


def main() -> int:
    """Write the page, replacing one of before."""
    PAGE.unlink(missing_ok=True)
    try:
        made = write_offline_page([trained(preset) for preset in PRESETS], PAGE, None)
    except subprocess.CalledProcessError as error:
        print(f"docs.live_page: the training ended with exit code {error.returncode}", file=sys.stderr)
        return 1
    except UsageError as error:
        print(f"The front page has no cart: {error}", file=sys.stderr)
        return 0
    print(f"{made.path}: {made.size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
