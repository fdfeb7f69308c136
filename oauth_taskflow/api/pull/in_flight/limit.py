"""How many requests of one task may be in flight: a number that grows while it pays and halves under overload.

The method is that of congestion control (AIMD, RFC 5681 §3.1), applied to requests: answers per second are compared before and
after each growth. It does no I/O: instants are monotonic seconds that the caller passes.
"""

from __future__ import annotations

DEFAULT_MOST = 8
# A measurement needs this many seconds, and twice as many answers as requests in flight.
_SPAN = 0.1
_LEAST_ANSWERS = 3
# The share of the possible gain that a growth must bring: 1.25 times the answers per second for twice the requests.
_GAIN = 0.25
# Slower than this many times the usual, and by more than the jitter of a loaded machine, is a sign of overload.
_SLOWER, _JITTER = 2.0, 0.05
_FIRST_PAUSE, _LONGEST_PAUSE = 5, 320
_FIRST_REST, _LONGEST_REST = 30.0, 600.0


class ConcurrencyLimit:
    """A number of requests between 1 and ``most``, which ``value`` holds. It is used under the lock of its owner.

    It doubles while more requests in flight bring more answers per second, and returns when they do not. An overload
    halves it; then it grows by one, up to the number below the one that was too many. ``is_fixed`` keeps it at ``start``.
    """

    def __init__(
        self, most: int = DEFAULT_MOST, *, start: int = 1, is_fixed: bool = False, now: float = 0.0
    ) -> None:
        self.most = max(most, start)
        self.value = start
        self.is_fixed = is_fixed
        self.peak = start
        self.halvings = 0
        self.generation = 0
        self._ceiling, self._rest, self._raise_at = self.most, _FIRST_REST, 0.0
        self._below, self._rate = 0, 0.0
        self._usual: float | None = None
        self._pause, self._wait = _FIRST_PAUSE, 0
        # The running measurement: its beginning, and what it has counted.
        self._since, self._seconds = now, 0.0
        self._answers = self._timed = self._busiest = 0

    def note_answer(self, now: float, seconds: float | None, in_flight: int) -> None:
        """Counts an answer that took ``seconds`` (None when unknown) while ``in_flight`` requests ran, itself included."""
        if self.is_fixed:
            return
        self._answers += 1
        self._busiest = max(self._busiest, in_flight)
        if seconds is not None:
            self._timed, self._seconds = self._timed + 1, self._seconds + seconds
        span = now - self._since
        if span >= _SPAN and self._answers >= max(_LEAST_ANSWERS, 2 * self.value):
            self._conclude(now, self._answers / span)

    def note_overload(self, now: float, generation: int) -> None:
        """Halves ``value``, unless the request was sent (in ``generation``) before an earlier halving."""
        if self.is_fixed or generation != self.generation:
            return
        self._ceiling = max(1, min(self._ceiling, self.value - 1))
        self._raise_at = now + self._rest
        self._rest = min(2 * self._rest, _LONGEST_REST)
        self._halve(now)

    def _halve(self, now: float) -> None:
        self.generation += 1
        self.halvings += 1
        self._set(max(1, self.value // 2), now)
        self._below, self._usual = 0, None

    def _conclude(self, now: float, rate: float) -> None:
        """Judges one measurement: back when a growth did not pay, else on, if all that is allowed was in use."""
        took = self._seconds / self._timed if self._timed else None
        was_used = self._busiest >= self.value
        self._begin(now)
        if self._below and not (was_used and self._has_paid(rate)):
            self._set(self._below, now)
            self._below, self._wait = 0, self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE) if was_used else self._pause
            return
        if not was_used:
            return
        if not self._below and self._is_slow(took):
            self._halve(now)
            return
        self._accept(rate, took)
        self._grow(now)

    def _has_paid(self, rate: float) -> bool:
        return rate >= self._rate * (1 + _GAIN * (self.value / self._below - 1))

    def _is_slow(self, took: float | None) -> bool:
        usual = self._usual
        return took is not None and usual is not None and took > _SLOWER * usual + _JITTER

    def _accept(self, rate: float, took: float | None) -> None:
        if self._below or took is None or self._usual is None:
            self._usual = took if took is not None else self._usual
        else:
            self._usual += (took - self._usual) / 8
        self._rate, self._below = rate, 0

    def _grow(self, now: float) -> None:
        if self._wait:
            self._wait -= 1
            return
        if self._ceiling < self.most and now >= self._raise_at and self.value == self._ceiling:
            self._ceiling, self._raise_at = self._ceiling + 1, now + self._rest
        if self.value >= self._ceiling:
            return
        self._below = self.value
        higher = self.value + 1 if self.halvings else 2 * self.value
        self._set(min(higher, self._ceiling), now)

    def _set(self, value: int, now: float) -> None:
        self.value = value
        self.peak = max(self.peak, value)
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._since, self._seconds = now, 0.0
        self._answers = self._timed = self._busiest = 0
