"""How the bridge fails."""

from __future__ import annotations


class BridgeError(RuntimeError):
    """A port, a tool or a cart that does not do its part; one line: what was found and what to do."""


class LinkError(BridgeError):
    """No cart, or no longer one, at the other end of the line."""


class RefusedError(BridgeError):
    """The cart refused a request; `code` is the name of its `ack_code`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
