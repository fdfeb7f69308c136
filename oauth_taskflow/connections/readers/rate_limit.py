"""Reads the request budgets of a connection."""

from __future__ import annotations

from typing import Any

import msgspec

from oauth_taskflow.api.rate_limit import RateLimit, RateLimits, list_limits
from oauth_taskflow.iso8601 import LONGEST_DURATION, duration_length
from oauth_taskflow.schema.reading import read_as


def read_limits(value: Any) -> tuple[RateLimit, ...]:
    """The budgets in ``value``, a mapping or a list of mappings.

    Raises:
        ValueError: it is neither, or a budget is incomplete; the text says why.
    """
    try:
        limits = tuple(list_limits(read_as(RateLimits, value)))
    except msgspec.ValidationError as error:
        raise ValueError(f"is not a request budget ({error}), as in {_SAMPLE}") from None
    for limit in limits:
        if limit.requests is None:
            raise ValueError(f"lacks the number of requests, as in {_SAMPLE}")
        length = duration_length(limit.per)
        if not length or length > LONGEST_DURATION:
            which = "longer than a hundred years" if length else "of no length"
            raise ValueError(f"has a period {which}, as in {_SAMPLE}")
        if isinstance(limit.weight, str):
            raise ValueError("has a weight that is not a number; templates are for specs")  # noqa: TRY004 - one error for all flaws
        if limit.weight > limit.requests:
            raise ValueError("has a weight that is more than the whole budget")
    return limits


_SAMPLE = '{"requests": 100, "per": "PT1M"}'
