"""Rules about rules for answers."""

from __future__ import annotations

from functools import lru_cache

from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.api.rule_waits import RuleWait
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.text_patterns import text_pattern_flaw

_ANY = frozenset(range(100, 600))
# 408, 409, 423, 425 and 429 say "later"; the other 4xx say "not like this".
_HOPELESS = frozenset(range(400, 500)) - {408, 409, 423, 425, 429}
_WAITING = frozenset({"retry", "rate_limit"})


def _statuses(rule: ResponseRule) -> frozenset[int]:
    """Every status the rule matches."""
    if rule.status is None:
        return _ANY
    given = rule.status if isinstance(rule.status, tuple) else (rule.status,)
    return _expand_all(given)


def _is_narrowed(rule: ResponseRule) -> bool:
    """Whether the rule has a condition besides the status."""
    return rule.when is not None or rule.when_text is not None or bool(rule.header)


@lru_cache(maxsize=1024)
def _expand_all(given: tuple[int | str, ...]) -> frozenset[int]:
    return frozenset().union(*(_expand(status) for status in set(given)))


@lru_cache(maxsize=1024)
def _expand(status: int | str) -> frozenset[int]:
    if isinstance(status, int):
        return frozenset({status})
    if status.endswith("xx"):
        first = int(status[0]) * 100
        return frozenset(range(first, first + 100))
    low, _, high = status.partition("-")
    return frozenset(range(int(low), int(high) + 1))


@endpoint_rule("rule-without-condition", about="responses")
def rule_without_condition(view: EndpointView) -> Findings:
    """A rule without a condition would match every response, good ones included.

    Bad: `responses: [{action: skip}]`

    Good: `responses: [{status: 404, action: skip}]`
    """
    for index, rule in enumerate(view.endpoint.responses):
        if not _is_narrowed(rule) and rule.status is None:
            yield Finding(("responses", index), "the rule has no condition", "Write status: 404.")
        elif not _statuses(rule):
            message = f"{rule.status!r} matches no status"
            yield Finding(("responses", index, "status"), message, "Write low-high: 500-504.")


@endpoint_rule("rule-without-action", about="responses")
def rule_without_action(view: EndpointView) -> Findings:
    """A rule says what to do.

    Bad: `responses: [{status: 404}]`

    Good: `responses: [{status: 404, action: skip}]`
    """
    for index, rule in enumerate(view.endpoint.responses):
        if rule.action is None:
            hint = "Write action: retry, rate_limit, refresh, skip, end, accept or fail."
            yield Finding(("responses", index), "the rule has no action", hint)


@endpoint_rule("rule-unreachable", about="responses")
def rule_unreachable(view: EndpointView) -> Findings:
    """The first rule that matches decides, and earlier ones match all that this one does.

    Bad: `[{status: 4xx, action: fail}, {status: 404, action: skip}]`

    Good: `[{status: 404, action: skip}, {status: 4xx, action: fail}]`
    """
    covered: frozenset[int] = frozenset()
    for index, rule in enumerate(view.endpoint.responses):
        statuses = _statuses(rule)
        if rule.status is not None and statuses and statuses <= covered:
            yield Finding(("responses", index), "earlier rules match first", "Move it up.")
        if rule.status is not None and not _is_narrowed(rule):
            covered |= statuses


@endpoint_rule("retry-on-client-error", "warning", about="responses")
def retry_on_client_error(view: EndpointView) -> Findings:
    """A 400, 401, 403 or 404 seldom gets better by itself; if this API's does, say how often to try.

    Bad: `{status: 403, action: retry}`

    Good: `{status: 403, action: retry, max_attempts: 3, wait: PT10S}`
    """
    raw = view.raw.get("responses", [])
    for index, rule in enumerate(view.endpoint.responses):
        hopeless = rule.status is not None and _statuses(rule) & _HOPELESS
        narrowed = _is_narrowed(rule)
        if (
            rule.action == "retry"
            and hopeless
            and not narrowed
            and "max_attempts" not in raw[index]
        ):
            message = f"retries of {min(hopeless)} have no stated limit"
            yield Finding(("responses", index), message, "Write max_attempts: 3.")


@endpoint_rule("skip-on-server-error", "warning", about="responses")
def skip_on_server_error(view: EndpointView) -> Findings:
    """Skipping 5xx answers turns an outage into silently missing records.

    Bad: `{status: 5xx, action: skip}`

    Good: `{status: 5xx, action: retry, max_attempts: 8}`
    """
    for index, rule in enumerate(view.endpoint.responses):
        broken = rule.status is not None and max(_statuses(rule), default=0) >= 500
        if (
            rule.action in {"skip", "end"}
            and broken
            and rule.when is None
            and rule.when_text is None
        ):
            message = "an outage would look like missing records"
            yield Finding(("responses", index, "action"), message, "Write action: retry.")


@endpoint_rule("rule-option-unused", "warning", about="responses")
def rule_option_unused(view: EndpointView) -> Findings:
    """`wait` and `max_attempts` are for rules that ask again.

    Bad: `{status: 404, action: skip, wait: PT5S}`

    Good: `{status: 503, action: retry, wait: PT5S}`
    """
    raw = view.raw.get("responses", [])
    for index, rule in enumerate(view.endpoint.responses):
        for key in ("wait", "max_attempts"):
            if key in raw[index] and rule.action not in _WAITING and rule.action is not None:
                message = f"{key} has no effect with action: {rule.action}"
                yield Finding(("responses", index, key), message, "Remove it.", at_key=True)


@endpoint_rule("rule-wait", about="responses")
def rule_wait(view: EndpointView) -> Findings:
    """A wait that is named elsewhere is named by a header or by a time of day, one of them; `as` says how the header is read.

    Bad: `wait: {as: epoch}`, `wait: {header: X-Reset, until: "00:00Z"}`

    Good: `wait: {header: X-Reset, as: epoch}`, `wait: {until: "00:00Z"}`
    """
    raw = view.raw.get("responses", [])
    for index, rule in enumerate(view.endpoint.responses):
        wait, path = rule.wait, ("responses", index, "wait")
        if not isinstance(wait, RuleWait):
            continue
        if (wait.header is None) == (wait.until is None):
            message = (
                "nothing names the wait"
                if wait.header is None
                else "header and until both name the wait"
            )
            yield Finding(path, message, "Write header: X-Reset, or until: 00:00Z.")
        elif wait.until is not None and "as" in raw[index]["wait"]:
            message = "as has no effect with until"
            yield Finding((*path, "as"), message, "Remove it.", at_key=True)


@endpoint_rule("slow-pattern", about="responses")
def slow_pattern(view: EndpointView) -> Findings:
    """A pattern on the text of an answer has one open repetition at the most: others may take for ever on a long text.

    Bad: `when_text: "(a+)+b"`, `when_text: "quota.*day.*exceeded"`

    Good: `when_text: "quota.{0,40}exceeded"`
    """
    for index, rule in enumerate(view.endpoint.responses):
        flaw = text_pattern_flaw(rule.when_text) if rule.when_text is not None else ""
        if flaw:
            hint = "Write .{0,40} for .*, and escape symbols by \\.."
            yield Finding(("responses", index, "when_text"), flaw, hint)


@endpoint_rule("accept-without-condition", "warning", about="responses")
def accept_without_condition(view: EndpointView) -> Findings:
    """A server error that counts as a page turns an outage into an empty table, unless a condition distinguishes them.

    Bad: `{status: 5xx, action: accept}`

    Good: `{status: 500, when: "contains(keys(@), 'items')", action: accept}`
    """
    for index, rule in enumerate(view.endpoint.responses):
        broken = rule.status is not None and max(_statuses(rule), default=0) >= 500
        if rule.action == "accept" and broken and not _is_narrowed(rule):
            message = "an outage would look like a page"
            yield Finding(("responses", index, "action"), message, "Add when, or narrow status.")
