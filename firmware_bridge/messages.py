"""The classes of the messages, such as `StateMessage`, made from `protocol.h`; `messages.pyi` declares them."""

from firmware_bridge.protocol import read_protocol

globals().update({kind.__name__: kind for kind in read_protocol().messages.values()})
