"""Steps a moment by ISO 8601 durations in calendar units: ``P1M`` is a month, not thirty days."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pendulum import Duration


@lru_cache(maxsize=512)
def _parse(text: str) -> Duration:
    import pendulum  # run time only: a DAG parse should not pay for it  # noqa: PLC0415

    parsed = pendulum.parse(text)
    if not isinstance(parsed, pendulum.Duration):
        msg = f"{text!r} is not an ISO 8601 duration"
        raise ValueError(msg)  # noqa: TRY004 - the text is wrong, not its type
    return parsed


def add_duration(moment: datetime, text: str, times: int = 1) -> datetime:
    """``moment`` plus ``times`` durations, stepped from ``moment`` itself.

    31 January plus two months is 31 March, which adding one month twice would miss.

    Raises:
        ValueError: the text is not a duration.
    """
    import pendulum  # see _parse  # noqa: PLC0415

    step = _parse(text)
    seconds = step.total_seconds() - (step.years * 365 + step.months * 30) * 86400
    base = pendulum.instance(moment)
    moved = base.add(years=step.years * times, months=step.months * times, seconds=seconds * times)
    return datetime.fromtimestamp(moved.timestamp(), tz=moment.tzinfo)
