"""Rules about request budgets: complete, within reach of a request, and each stated once."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, inf, nan

from oauth_taskflow.api.rate_limit import RateLimit, RateLimits
from oauth_taskflow.iso8601 import duration_length
from oauth_taskflow.specs.budgets import SPEC_PREFIX
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import (
    EndpointView,
    Findings,
    SpecView,
    endpoint_rule,
    spec_rule,
)
from oauth_taskflow.specs.template_names import request_names
from oauth_taskflow.suggestions import suggest_allowed
from oauth_taskflow.templates.references import parse_template

# Seconds; a session waits so long for an answer, unless the connection or the spec says otherwise.
_LONGEST_REQUEST = 60.0


def list_entries(limits: RateLimits | None) -> Iterator[tuple[YamlPath, RateLimit]]:
    """Each budget of ``rate_limit`` with its path."""
    if isinstance(limits, list):
        for index, limit in enumerate(limits):
            yield ("rate_limit", index), limit
    elif limits is not None:
        yield ("rate_limit",), limits


@endpoint_rule("rate-limit-incomplete", about="rate_limit")
def rate_limit_incomplete(view: EndpointView) -> Findings:
    """A rate limit says how many requests; `per` alone would leave one to a period.

    Bad: `rate_limit: {per: PT1M}`

    Good: `rate_limit: {requests: 100, per: PT1M}`
    """
    yield from _find_incomplete(view.endpoint.rate_limit)


@spec_rule("rate-limit-incomplete")
def spec_rate_limit_incomplete(view: SpecView) -> Findings:
    """A rate limit says how many requests; `per` alone would leave one to a period.

    Bad: `rate_limit: {per: PT1M}`

    Good: `rate_limit: {requests: 100, per: PT1M}`
    """
    yield from _find_incomplete(view.source.rate_limit)


def _find_incomplete(limits: RateLimits | None) -> Findings:
    for path, limit in list_entries(limits):
        if limit.requests is None:
            yield Finding(path, "the number of requests is missing", "Write requests: 100.")


@endpoint_rule("rate-limit-contradiction", about="rate_limit")
def rate_limit_contradiction(view: EndpointView) -> Findings:
    """Parts of a budget that do not fit each other: no request would ever be sent, or a part has no effect.

    A weight is a number above 0, and at most the whole budget. `reset_header` belongs to a `remaining_header`. `endpoints` chooses among the
    endpoints of a file or connection, so it has no effect below one endpoint. Names that begin with `spec:` are taken.

    Bad: `rate_limit: {requests: 10, weight: 20}`, `weight: heavy`, `rate_limit: {requests: 10, endpoints: [search]}` in an endpoint

    Good: `rate_limit: {requests: 100, per: PT1M, weight: 20}`
    """
    for path, limit in list_entries(view.endpoint.rate_limit):
        yield from _find_contradictions(path, limit)
        if limit.endpoints:
            hint = "Remove it, or move the budget to rate_limit at the top of the file."
            yield Finding(
                (*path, "endpoints"), "endpoints has no effect below an endpoint", hint, at_key=True
            )


@spec_rule("rate-limit-contradiction")
def spec_rate_limit_contradiction(view: SpecView) -> Findings:
    """Parts of a budget that do not fit each other: no request would ever be sent, or a part has no effect.

    Bad: `rate_limit: {requests: 10, weight: 20}`

    Good: `rate_limit: {requests: 100, per: PT1M, weight: 20}`
    """
    for path, limit in list_entries(view.source.rate_limit):
        yield from _find_contradictions(path, limit)
        yield from _find_unknown_names(path, limit)
        for index, name in enumerate(limit.endpoints):
            if not name.startswith("/") and name not in view.spec.endpoints:
                hint = suggest_allowed(name, view.spec.endpoints)
                yield Finding((*path, "endpoints", index), f"there is no endpoint {name!r}", hint)


def _find_contradictions(path: YamlPath, limit: RateLimit) -> Findings:
    cost = _find_constant_weight(limit)
    if cost is not None and not cost > 0:
        message = f"the weight {limit.weight!r} is not a number above 0"
        yield Finding((*path, "weight"), message, "Write a number, or a template that gives one.")
    elif cost is not None and cost > (limit.requests or cost):
        message = f"one request costs more than the whole budget of {limit.requests}"
        yield Finding((*path, "weight"), message, "Write a smaller weight, or more requests.")
    if limit.reset_header is not None and limit.remaining_header is None:
        message = "reset_header has no effect without remaining_header"
        hint = "Write remaining_header too: the end counts when nothing is left."
        yield Finding((*path, "reset_header"), message, hint, at_key=True)
    if limit.name is not None and limit.name.startswith(SPEC_PREFIX):
        message = f"names that begin with {SPEC_PREFIX} are those of budgets of a file"
        yield Finding((*path, "name"), message, "Choose another name.")


def _find_constant_weight(limit: RateLimit) -> float | None:
    """The weight of every request; not a number for a text that is none, None for a template."""
    if isinstance(limit.weight, str) and "{" in limit.weight:
        return None
    try:
        return float(limit.weight)
    except ValueError:
        return nan


def _find_unknown_names(path: YamlPath, limit: RateLimit) -> Findings:
    """Findings about the template of a weight, in which only the names of every request are allowed."""
    if not isinstance(limit.weight, str) or "{" not in limit.weight:
        return
    template = parse_template(limit.weight)
    known = request_names({}, incremental=False)
    for name, _ in template.references:
        if name not in known and name not in template.built_in:
            message = f"{name!r} is not defined for every endpoint"
            yield Finding((*path, "weight"), message, suggest_allowed(name, known))


@endpoint_rule("concurrency-above-budget", "warning")
def concurrency_above_budget(view: EndpointView) -> Findings:
    """More requests at once than a budget can ever have under way, even if each takes as long as its timeout allows.

    A number from the defaults is for the other endpoints. Without `timeout`, a request takes a minute at most.

    Bad: `concurrency: 16` with `rate_limit: {requests: 2, per: PT1M}`

    Good: `concurrency: 4` with the same, or without `concurrency`
    """
    endpoint = view.endpoint
    is_inherited = endpoint.concurrency == view.source.defaults.concurrency
    if is_inherited or not isinstance(endpoint.concurrency, int):
        return
    limits = [*list_entries(view.source.rate_limit), *list_entries(endpoint.rate_limit)]
    usable = [
        _count_under_way(limit, endpoint.timeout or _LONGEST_REQUEST)
        for _, limit in limits
        if not limit.endpoints or view.name in limit.endpoints
    ]
    most = min(usable, default=endpoint.concurrency)
    if endpoint.concurrency > most:
        message = f"the budgets never let more than {most:.0f} requests be under way"
        yield Finding(("concurrency",), message, f"Write {max(1, most):.0f} at most, or remove it.")


def _count_under_way(limit: RateLimit, longest: float) -> float:
    """The most requests that ``limit`` lets be under way, each of them for at most ``longest`` seconds."""
    weight = _find_constant_weight(limit) or 0.0
    if limit.requests is None or not weight > 0:
        return inf
    periods = 1 + ceil(longest / (duration_length(limit.per) or 1.0))
    return limit.requests // weight * periods


@endpoint_rule("rate-limit-twice", about="rate_limit")
def rate_limit_twice(view: EndpointView) -> Findings:
    """Two budgets of the same period and scope: the smaller one alone would do the same.

    Bad: `rate_limit: [{requests: 100, per: PT1M}, {requests: 60, per: PT1M}]`

    Good: `rate_limit: [{requests: 60, per: PT1M}, {requests: 5000, per: P1D}]`
    """
    yield from _find_twice(view.endpoint.rate_limit)


@spec_rule("rate-limit-twice")
def spec_rate_limit_twice(view: SpecView) -> Findings:
    """Two budgets of the same period and scope: the smaller one alone would do the same.

    Bad: `rate_limit: [{requests: 100, per: PT1M}, {requests: 60, per: PT1M}]`

    Good: `rate_limit: [{requests: 60, per: PT1M}, {requests: 5000, per: P1D}]`
    """
    yield from _find_twice(view.source.rate_limit)


def _find_twice(limits: RateLimits | None) -> Findings:
    if not isinstance(limits, list):
        return
    seen: set[object] = set()
    for path, limit in list_entries(limits):
        scope = duration_length(limit.per), limit.name, tuple(sorted(limit.endpoints))
        if scope in seen:
            message = f"a budget per {limit.per} is given twice"
            yield Finding(path, message, "Keep the smaller one, or give them different names.")
        seen.add(scope)


@endpoint_rule("rate-limit-never-used-up", "warning", about="rate_limit")
def rate_limit_never_used_up(view: EndpointView) -> Findings:
    """A budget that another one of the list keeps from ever being used up: probably the numbers are swapped.

    Bad: `rate_limit: [{requests: 1, per: PT1S}, {requests: 100, per: PT1M}]`

    Good: `rate_limit: [{requests: 10, per: PT1S}, {requests: 100, per: PT1M}]`
    """
    if not isinstance(view.endpoint.rate_limit, list):
        return
    plain = [
        (path, limit.requests, duration_length(limit.per) or 1.0)
        for path, limit in list_entries(view.endpoint.rate_limit)
        if limit.requests is not None and _find_constant_weight(limit) == 1 and limit.name is None
    ]
    for path, requests, per in plain:
        for _, others, other_per in plain:
            if other_per < per and others * (per / other_per) < requests:
                message = (
                    f"{requests} requests are never reached, because another budget allows fewer"
                )
                yield Finding(path, message, "Compare the numbers with the API's documentation.")
                break
