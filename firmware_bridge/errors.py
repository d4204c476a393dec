"""The errors of the bridge."""

from __future__ import annotations


class BridgeError(RuntimeError):
    """A port, a tool or a cart failed; the message is one line: what was found and what to do."""


class LinkError(BridgeError):
    """No cart answers, or it has stopped answering."""


class SessionLostError(LinkError):
    """No STATE of this session comes any more: the line is silent, or the cart has restarted."""


class NotDisarmedError(LinkError):
    """The motor may still run: the cart did not confirm DISARM. The message ends with what came instead."""

    def __init__(self, found: str) -> None:
        super().__init__(f"the cart did not confirm DISARM; switch it off ({found})")


class RefusedError(BridgeError):
    """The cart refused a request; `code` is the name of its `ack_code`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
