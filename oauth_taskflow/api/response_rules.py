"""Response rules of users: the first rule that matches a response decides how it is treated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.api.rule_waits import RuleWait, find_named_wait
from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.errors import ApiError
from oauth_taskflow.iso8601 import duration_seconds
from oauth_taskflow.schema.types import Duration, ErrorStatus, JmesPath, Options, Text, doc
from oauth_taskflow.text_patterns import find_text

if TYPE_CHECKING:  # specs load this module where DAGs are parsed
    import requests

Action = Literal["retry", "rate_limit", "refresh", "skip", "end", "accept", "fail"]
_STATUS_MATCH = r"^([1-5]xx|[1-5]\d\d-[1-5]\d\d)$"
# The pattern is for the JSON Schema, and `require_statuses` holds it. As Meta(pattern=) next to a tuple in one
# union, msgspec (0.22 and before) frees the pattern as if it were a type, and processes die when they end.
StatusMatch = Annotated[
    str,
    doc(
        "A class or range of statuses.",
        "5xx",
        "500-504",
        extra_json_schema={"type": "string", "pattern": _STATUS_MATCH},
    ),
]
Statuses = int | str | tuple[int | str, ...] | None


def require_statuses(statuses: Statuses) -> None:
    """Checks that every text in ``statuses`` is a ``StatusMatch``.

    Raises:
        ValueError: one is not; ``msgspec.convert`` adds its place.
    """
    for status in statuses if isinstance(statuses, tuple) else (statuses,):
        if isinstance(status, str) and not re.search(_STATUS_MATCH, status):
            raise ValueError(f"Expected `str` matching regex {_STATUS_MATCH!r} in `status`")


class ResponseRule(Options, frozen=True, kw_only=True):
    """A rule for responses; the first rule that matches decides."""

    status: Annotated[
        ErrorStatus | StatusMatch | tuple[ErrorStatus | StatusMatch, ...] | None,
        doc("Status, class, range, or a list of them.", 404, "5xx", [429, "500-504"]),
    ] = None
    when: Annotated[
        JmesPath | None, doc("JMESPath predicate on the JSON body.", "ok == `false`")
    ] = None
    when_text: Annotated[
        Text | None,
        doc(
            "Regular expression on the first 4,096 characters of the body as text, for bodies that are not JSON.",
            "quota .{0,20}exceeded",
        ),
    ] = None
    header: Annotated[
        dict[str, str],
        doc(
            "Response headers and the regular expression each must match.", {"X-Maintenance": "on"}
        ),
    ] = {}
    action: Annotated[
        Action | None,
        doc(
            "retry: again after wait. rate_limit: as retry, and every request waits. refresh: next token, once. "
            "skip: no records, no error. end: last page reached. accept: a page, whatever its status. fail: stop with message.",
            "skip",
        ),
    ] = None
    wait: Annotated[
        Duration | RuleWait | None,
        doc(
            "Wait before the retry when the answer names none; or the header or time of day that names it.",
            "PT30S",
            {"header": "X-Reset", "as": "epoch"},
            {"until": "00:00Z"},
        ),
    ] = None
    max_attempts: Annotated[int, doc("Attempts in all under this rule.", 5, ge=1, le=100)] = 5
    message: Annotated[str, doc("Added to the error or log line.", "Contact was deleted")] = ""

    def __post_init__(self) -> None:
        """Refuses a ``status`` that is not a class or range of statuses."""
        require_statuses(self.status)


class Decision(Struct, frozen=True):
    """The decision of the rule that matched a response; ``wait`` is in seconds, None means back-off.

    With ``is_named``, the rule says where the wait is named, which takes precedence over ``Retry-After``.
    """

    action: Action
    wait: float | None = None
    max_attempts: int = 5
    message: str = ""
    is_named: bool = False

    @property
    def holds_all(self) -> bool:
        """Whether all requests of the endpoint wait, not only this one."""
        return self.action == "rate_limit"


class _Rule:
    def __init__(self, rule: ResponseRule) -> None:
        self._statuses = _status_ranges(rule.status)
        self._when = _require_path(rule.when)
        self._text = None if rule.when_text is None else re.compile(rule.when_text)
        self._wait = rule.wait if isinstance(rule.wait, RuleWait) else None
        self._headers = {name: re.compile(pattern) for name, pattern in rule.header.items()}
        self.decision = Decision(
            rule.action or "fail",
            duration_seconds(rule.wait) if isinstance(rule.wait, str) else None,
            rule.max_attempts,
            rule.message,
        )

    def matches(self, response: requests.Response) -> bool:
        status = response.status_code
        if self._statuses and not any(low <= status <= high for low, high in self._statuses):
            return False
        return self._headers_match(response.headers) and self._body_matches(response)

    def decide(self, response: requests.Response) -> Decision:
        """The decision, with the wait that ``response`` or the clock names."""
        if self._wait is None:
            return self.decision
        from oauth_taskflow.http_headers import server_now  # noqa: PLC0415  # loads email.utils

        now = server_now(response.headers, SYSTEM_CLOCK.now())
        wait = find_named_wait(self._wait, response.headers, now)
        return self.decision if wait is None else replace(self.decision, wait=wait, is_named=True)

    def _headers_match(self, headers: Mapping[str, str]) -> bool:
        return all(
            name in headers and pattern.search(headers[name])
            for name, pattern in self._headers.items()
        )

    def _body_matches(self, response: requests.Response) -> bool:
        if self._text is not None and not find_text(self._text, response.text):
            return False
        if self._when is None:
            return True
        from oauth_taskflow.api.decoders.json import Body  # noqa: PLC0415  # as above

        try:
            return bool(Body.from_response(response).find(self._when))
        except ApiError:
            return False  # an error page in HTML has no fields, and a value of another type has no match


def _require_path(when: str | None) -> str | None:
    """Returns ``when``, which no answer could match if it always failed: a bad answer would pass.

    Raises:
        RecordsNotFound: it is not a JMESPath expression, or calls a function in a way that always fails.
    """
    if when is not None:
        from oauth_taskflow.api.decoders.json import compile_path  # noqa: PLC0415  # loads jmespath and requests

        compile_path(when)
    return when


class Rules:
    """The user's rules in their order; when none matches, the retry policy decides.

    Raises:
        RecordsNotFound: the ``when`` of a rule is not a JMESPath expression, or always fails.
    """

    def __init__(self, rules: Sequence[ResponseRule]) -> None:
        self._rules = [_Rule(rule) for rule in rules]

    def __call__(self, response: requests.Response) -> Decision | None:
        """The decision of the first rule that matches ``response``."""
        for rule in self._rules:
            if rule.matches(response):
                return rule.decide(response)
        return None


def _status_ranges(status: Statuses) -> list[tuple[int, int]]:
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
