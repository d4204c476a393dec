"""Relates the cart's clock to the host's: how much later than the quickest arrival a message came."""

from __future__ import annotations

from collections import deque

_BUCKET_S = 0.25  # of the cart's clock; of each the quickest arrival is kept
_BUCKETS = 64
_LEAST_BUCKETS = 3
_MICROSECOND = 1e-6


class ArrivalClock:
    """A line under the arrivals (host seconds) over the times they were sent at (the cart's microseconds).

    The two clocks may differ in rate: the line is a regression through the quickest arrivals of the last 16 s, laid
    where none of them is below it. It cannot see a delay that all arrivals share, such as the time on the wire. With
    an arrival that is 0.25 s later or earlier than that, as where the host slept, a new line begins.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget every arrival: the cart's clock starts again, as it does with each session."""
        self._last_us: int | None = None
        self._cart_s = 0.0
        self._offset_s = self._rate = 0.0
        self._bucket_end_s = _BUCKET_S
        self._is_rough = True
        self._best_s, self._best_at_s = 0.0, 0.0
        self._quickest: deque[tuple[float, float]] = deque(maxlen=_BUCKETS)

    def lateness_s(self, time_us: int, host_s: float) -> float:
        """How much later than the quickest a message sent at `time_us` (uint32, wraps) arrived at `host_s`."""
        if self._last_us is None:
            self._last_us = time_us
            self._offset_s = self._best_s = host_s
            return 0.0
        self._cart_s = cart_s = self._cart_s + ((time_us - self._last_us) & 0xFFFF_FFFF) * _MICROSECOND
        self._last_us = time_us
        way_s = host_s - cart_s
        late_s = way_s - self._offset_s - self._rate * cart_s
        if abs(late_s) > _BUCKET_S:  # those of a whole bucket may be late, and would bend the line
            self.restart()
            self.lateness_s(time_us, host_s)
            return max(0.0, late_s)
        if way_s - self._best_s < self._rate * (cart_s - self._best_at_s):
            self._best_s, self._best_at_s = way_s, cart_s
        if cart_s >= self._bucket_end_s:
            self._end_bucket(cart_s, way_s)
        late_s = way_s - self._offset_s - self._rate * cart_s
        if late_s < 0.0:  # quicker than ever
            self._offset_s += late_s
            return 0.0
        return late_s

    def due_s(self, later_s: float) -> float:
        """The earliest arrival, on the host's clock, of something sent `later_s` after the last arrival was sent."""
        cart_s = self._cart_s + later_s
        return cart_s + self._offset_s + self._rate * cart_s

    def _end_bucket(self, cart_s: float, way_s: float) -> None:
        self._quickest.append((self._best_at_s, self._best_s))
        self._bucket_end_s = cart_s + _BUCKET_S
        self._best_s, self._best_at_s = way_s, cart_s
        if self._is_rough and len(self._quickest) == 2 * _LEAST_BUCKETS:
            self._is_rough = False
            for _ in range(_LEAST_BUCKETS):  # chosen before the rate was known
                self._quickest.popleft()
        count = len(self._quickest)
        if count >= _LEAST_BUCKETS:
            mean_at_s = sum(at for at, _ in self._quickest) / count
            mean_s = sum(way for _, way in self._quickest) / count
            spread = sum((at - mean_at_s) ** 2 for at, _ in self._quickest)
            self._rate = sum((at - mean_at_s) * (way - mean_s) for at, way in self._quickest) / spread
        self._offset_s = min(way - self._rate * at for at, way in self._quickest)
