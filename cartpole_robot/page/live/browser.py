"""Opens the operator's browser, where there is a display to show it on."""

from __future__ import annotations

import os
import sys
import webbrowser

_IN_TERMINALS = ("www-browser", "links", "links2", "elinks", "lynx", "w3m", "carbonyl", "browsh")


def has_display() -> bool:
    """Whether a window can be shown: on Linux X11 or Wayland has to be there."""
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_browser(address: str) -> None:
    """Open `address`; where no browser can, print one line."""
    try:
        browser = webbrowser.get()
        name = os.path.basename(str(getattr(browser, "name", "")))  # noqa: PTH119 - not always a path
        is_open = name not in _IN_TERMINALS and browser.open(address)
    except (webbrowser.Error, OSError):
        is_open = False
    if not is_open:
        named = os.environ.get("BROWSER")
        what = f"the browser {named!r} (BROWSER) does not open" if named else "no browser was found to open"
        print(f"{what}; open the address yourself", file=sys.stderr, flush=True)
