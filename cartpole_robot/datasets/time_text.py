"""Dates and times of day as whole microseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

DAY_US = 86_400_000_000
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?", re.ASCII)
_SHORT_CLOCK = re.compile(r"(\d{1,3}):(\d{2})[.,](\d{1,9})", re.ASCII)
_LIKE_TIME = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}\b|\d{1,2}:\d{2}", re.ASCII)
_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def time_us_of(text: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 date with a time, since midnight of HH:MM:SS, since 0 of MM:SS.fff.

    None for other text. A date without a zone counts as UTC: only differences matter.
    """
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds, fraction = clock.groups(default="0")
        return (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 1_000_000 + _fraction_us(fraction)
    clock = _SHORT_CLOCK.fullmatch(text)
    if clock is not None:
        minutes, seconds, fraction = clock.groups()
        return (int(minutes) * 60 + int(seconds)) * 1_000_000 + _fraction_us(fraction)
    if ":" not in text:  # a number such as 20260302 is no date here, and a date alone is no time
        return None
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _START) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def is_other_time(text: str) -> bool:
    """Whether `text` looks like a date or a time that `time_us_of` does not read, such as 27.11.2026 10:00."""
    return _LIKE_TIME.match(text) is not None and time_us_of(text) is None


def _fraction_us(digits: str) -> int:
    return int(digits[:6].ljust(6, "0"))
