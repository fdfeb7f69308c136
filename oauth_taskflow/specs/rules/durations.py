"""Rules about durations: their form, and how long they can be."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from oauth_taskflow.iso8601 import LONGEST_DURATION, duration_length
from oauth_taskflow.specs.model import TASK_DURATIONS
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.budgets import list_entries
from oauth_taskflow.specs.rules.checks import list_check_sets
from oauth_taskflow.specs.rules.registry import (
    EndpointView,
    Findings,
    SpecView,
    endpoint_rule,
    spec_rule,
)
from oauth_taskflow.specs.rules.schedules import DURATION_LIKE

_USUAL = frozenset({"PT1S", "PT10S", "PT30S", "PT1M", "PT5M", "PT15M", "PT1H", "P1D", "P7D"})
# Keys where a duration of zero would mean no schedule, an endless loop, no limit, or one that no run keeps.
_POSITIVE = frozenset(
    {"schedule", "step", "per", "time", "freshness", "execution_timeout", "dagrun_timeout"}
)


@spec_rule("bad-duration")
def dag_durations(view: SpecView) -> Findings:
    """A duration in ISO 8601 form, at most a hundred years, and longer than nothing where nothing makes no sense.

    Bad: `step: 7d`, `step: P0D`, `schedule: P0D`, `limits: {time: PT0S}`

    Good: `step: P7D`, `schedule: PT15M`
    """
    schedule = view.source.schedule
    if isinstance(schedule, str) and DURATION_LIKE.match(schedule):
        yield from _flaw(("schedule",), schedule)
    for at, limit in list_entries(view.source.rate_limit):
        for path, text in _texts(limit, at, ("per",)):
            yield from _flaw(path, text)
    for path, text in _texts(view.source, (), ("dagrun_timeout",)):
        yield from _flaw(path, text)
    for path, text in _texts(view.source.default_args, ("default_args",), TASK_DURATIONS):
        yield from _flaw(path, text)


@endpoint_rule("bad-duration")
def endpoint_durations(view: EndpointView) -> Findings:
    """A duration in ISO 8601 form, at most a hundred years, and longer than nothing where nothing makes no sense.

    Bad: `step: 7d`, `step: P0D`, `schedule: P0D`, `limits: {time: PT0S}`

    Good: `step: P7D`, `schedule: PT15M`
    """
    endpoint = view.endpoint
    found = [
        *_texts(endpoint.task, ("task",), TASK_DURATIONS),
        *_texts(endpoint.incremental, ("incremental",), ("step", "lookback", "unit")),
        *_texts(endpoint.limits, ("limits",), ("time",)),
    ]
    for path, checks in list_check_sets(endpoint.checks):
        found += _texts(checks, path, ("freshness",))
    for path, limit in list_entries(endpoint.rate_limit):
        found += _texts(limit, path, ("per",))
    for index, rule in enumerate(endpoint.responses):
        found += _texts(rule, ("responses", index), ("wait",))
    for path, text in found:
        yield from _flaw(path, text)


def _texts(
    options: Struct | None, at: YamlPath, names: tuple[str, ...]
) -> Iterator[tuple[YamlPath, str]]:
    for name in names if options is not None else ():
        text = getattr(options, name)
        if isinstance(text, str):
            yield (*at, name), text


def _flaw(path: YamlPath, text: str) -> Findings:
    if text in _USUAL:
        return
    length = duration_length(text)
    if length is None:
        message = f"{text!r} is not an ISO 8601 duration"
        yield Finding(path, message, "Write PT15M, PT6H or P1D.")
    elif length > LONGEST_DURATION:
        yield Finding(path, "the duration is longer than a hundred years", "Write a shorter one.")
    elif length == 0 and path[-1] in _POSITIVE:
        yield Finding(path, f"{path[-1]} cannot be nothing", "Write PT15M, PT6H or P1D.")
