"""Audits pages of the built site with Lighthouse in a headless Chromium: `make docs-accessibility`.

python -m docs.accessibility SITE [PAGE ...]     the pages named, without ".html", or those of `PAGES`

Prints each page's score of 100 and what costs it points, for a wide and a narrow screen. Exit code 1 where one is below
95, 2 where npx or chromium is missing. npx fetches Lighthouse on its first use, which takes a network.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

LIGHTHOUSE = "lighthouse@13.5.0"
LEAST_SCORE = 95
LONGEST_S = 300.0
PAGES = (
    "_static/page",
    "index",
    "start/install",
    "start/first_policy",
    "start/glossary",
    "guides/training",
    "guides/bring_up",
    "hardware/building",
    "hardware/safety",
    "reference/command_line",
    "reference/faults",
    "reference/python_api",
    "results/swing_up",
)
SCREENS = {"wide": ("--preset=desktop",), "narrow": ()}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def audit(url: str, *options: str) -> tuple[int, list[str]]:
    """The accessibility score of a page, and the titles of what costs it points. Raises RuntimeError."""
    words = ["npx", "--yes", LIGHTHOUSE, url, "--quiet", "--only-categories=accessibility", "--output=json", *options]
    chromium = shutil.which("chromium") or ""
    done = subprocess.run(
        [*words, "--chrome-flags=--headless --no-sandbox"],
        env={**os.environ, "CHROME_PATH": chromium},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{url}: lighthouse ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return scored(json.loads(done.stdout))


def scored(report: dict[str, Any]) -> tuple[int, list[str]]:
    """The score of a report, and what costs points with the first element that does."""
    category = report["categories"]["accessibility"]
    costs = []
    for each in category["auditRefs"]:
        found = report["audits"][each["id"]]
        if found["score"] is not None and found["score"] < 1 and each["weight"] > 0:
            items = found.get("details", {}).get("items", [])
            element = items[0].get("node", {}).get("snippet", "") if items else ""
            costs.append(f"{found['title']}: {element}"[:200])
    return round(100 * category["score"]), costs


def main(arguments: list[str]) -> int:
    """The exit code; see the module's docstring."""
    missing = [tool for tool in ("npx", "chromium") if shutil.which(tool) is None]
    if missing or not arguments:
        print(f"missing: {', '.join(missing)}; apt install npm chromium" if missing else __doc__, file=sys.stderr)
        return 2
    site, *pages = arguments
    handler = functools.partial(_Quiet, directory=str(Path(site).absolute()))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lowest = 100
    for page in pages or PAGES:
        for screen, options in SCREENS.items():
            score, costs = audit(f"http://127.0.0.1:{server.server_port}/{page}.html", *options)
            lowest = min(lowest, score)
            print(f"{score:4}  {page}, {screen}", *costs, sep="\n        ", flush=True)
    server.shutdown()
    print(f"the lowest score is {lowest}, expected at least {LEAST_SCORE}")
    return 0 if lowest >= LEAST_SCORE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
