"""Response rules: the first that matches an answer decides what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import requests
from msgspec import Struct

from oauth_taskflow.api.decoders.json import Body
from oauth_taskflow.api.options import Action, ResponseRule
from oauth_taskflow.errors import ApiError
from oauth_taskflow.iso8601 import duration_seconds


class Decision(Struct, frozen=True):
    """What a matching rule says about an answer. ``wait`` in seconds, None for back-off."""

    action: Action
    wait: float | None = None
    max_attempts: int = 5
    message: str = ""

    @property
    def holds_all(self) -> bool:
        """Whether every request of the endpoint waits, not this one alone."""
        return self.action == "rate_limit"


class _Rule:
    def __init__(self, rule: ResponseRule) -> None:
        self._statuses = _status_ranges(rule.status)
        self._when = rule.when
        self._headers = {name: re.compile(pattern) for name, pattern in rule.header.items()}
        self.decision = Decision(
            rule.action or "fail",
            None if rule.wait is None else duration_seconds(rule.wait),
            rule.max_attempts,
            rule.message,
        )

    def matches(self, response: requests.Response) -> bool:
        status = response.status_code
        if self._statuses and not any(low <= status <= high for low, high in self._statuses):
            return False
        return self._headers_match(response.headers) and self._body_matches(response)

    def _headers_match(self, headers: Mapping[str, str]) -> bool:
        return all(
            name in headers and pattern.search(headers[name])
            for name, pattern in self._headers.items()
        )

    def _body_matches(self, response: requests.Response) -> bool:
        if self._when is None:
            return True
        try:
            return bool(Body.of(response).find(self._when))
        except ApiError:
            return False  # an error page in HTML has no fields to ask for


class Rules:
    """The user's rules in their order; where none matches, the retry policy decides."""

    def __init__(self, rules: Sequence[ResponseRule]) -> None:
        self._rules = [_Rule(rule) for rule in rules]

    def __call__(self, response: requests.Response) -> Decision | None:
        """The decision of the first rule that matches ``response``."""
        for rule in self._rules:
            if rule.matches(response):
                return rule.decision
        return None


def _status_ranges(status: int | str | tuple[int | str, ...] | None) -> list[tuple[int, int]]:
    if status is None:
        return []
    if isinstance(status, tuple):
        return [pair for part in status for pair in _status_ranges(part)]
    if isinstance(status, int):
        return [(status, status)]
    if status.endswith("xx"):
        return [(int(status[0]) * 100, int(status[0]) * 100 + 99)]
    low, high = status.split("-")
    return [(int(low), int(high))]
