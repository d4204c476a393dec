"""The page of a live view in a browser, which gets given frames in place of a server's."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cartpole_robot.page.live.view import Shown, live_page
from tests.chromium import Noted

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Route


def fed_view(context: BrowserContext, address: str, shown: Shown, events: Iterable[tuple[str, Any]]) -> Noted:
    """The page for `shown` at `address`; `events` are what its stream sends, each with its name."""
    stream = "".join(f"event: {name}\ndata: {json.dumps(value)}\n\n" for name, value in events)

    def answer(route: Route) -> None:
        if "/events" in route.request.url:
            route.fulfill(body=stream, headers={"Content-Type": "text/event-stream"})
        else:
            route.fulfill(body=live_page(shown).text, headers={"Content-Type": "text/html"})

    context.route("**/*", answer)
    noted = Noted(context)
    noted.page.goto(address)
    return noted
