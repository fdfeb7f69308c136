"""Every option that is a JMESPath or a duration is judged by the check: no field can be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from msgspec import Struct

from oauth_taskflow.schema.types import Duration, JmesPath
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.model import DagSpec, Endpoint

SPEC = """\
version: 1
dag_id: d
connection: c
endpoints:
  parent:
    request: {path: /p}
    destination: {path: /d/p}
  a:
    request: {path: /a}
    destination: {path: /d/a}
    %s
"""
JMESPATH, DURATION = get_args(JmesPath)[1], get_args(Duration)[1]
TABLE = "destination: {type: postgres, conn_id: w, table: t, mode: merge, deleted_when: %s}"
# Each option, as the class and field that define it, and how a spec writes it.
WRITTEN = {
    "CopiedField.path": ["for_each: {x: {endpoint: parent, copy: {c: {path: %s}}}}"],
    "CursorPaginator.last_record": ["paginate: {type: cursor, last_record: %s, param: p}"],
    "CursorPaginator.next": ["paginate: {type: cursor, next: %s, param: p}"],
    "CursorPlace.path": ["incremental: {by: watermark, cursor: {path: %s}}"],
    "Endpoint.primary_key": ["primary_key: %s", "primary_key: [id, %s]"],
    "Endpoint.records": ["records: %s"],
    "Endpoint.where": ["where: %s"],
    "ExpiredCursor.when": ["incremental: {by: watermark, cursor: a, expired: {when: %s}}"],
    "FirstRun.records": ["incremental: {by: watermark, cursor: a, first_run: {records: %s}}"],
    "ForEachOptions.copy": ["for_each: {x: {endpoint: parent, copy: {c: %s}}}"],
    "ForEachOptions.key": ["for_each: {x: {endpoint: parent, key: %s}}"],
    "Incremental.cursor": ["incremental: {by: watermark, cursor: %s}"],
    "Incremental.field": ["incremental: {by: watermark, field: %s}"],
    "KeysetPaginator.key": ["paginate: {type: keyset, key: %s, param: p}"],
    "LastRecord.path": ["paginate: {type: cursor, last_record: {path: %s}, param: p}"],
    "NextUrlPaginator.next": ["paginate: {type: next_url, next: %s}"],
    "PageFlag.path": ["paginate: {type: page, more: {path: %s}}"],
    "PageNumberPaginator.total_pages": ["paginate: {type: page, total_pages: %s}"],
    "PagingOptions.last": ["paginate: {type: page, last: %s}"],
    "PagingOptions.more": ["paginate: {type: page, more: %s}"],
    "PagingOptions.total": ["paginate: {type: page, total: %s}"],
    "PathValue.path": ["fields: {set: {c: {path: %s}}}"],
    "PostgresDestination.deleted_when": [
        f"{TABLE}\n    primary_key: id",
        f"destinations: [{{path: /d/b}}, {TABLE.removeprefix('destination: ')}]\n    primary_key: id",
    ],
    "Records.path": ["records: {path: %s}"],
    "ResponseRule.when": ["responses: [{status: 200, when: %s, action: skip}]"],
    "RowCap.field": [
        "paginate: {type: page, cap: {rows: 10, then: from_last_record, field: %s, param: p}}"
    ],
    "TotalRows.path": ["paginate: {type: page, total: {path: %s}}"],
}
# The same for durations, in an endpoint.
DURATIONS = {
    "CheckSet.freshness": ["checks: {freshness: %s}", "checks: {warn: {freshness: %s}}"],
    "Incremental.lookback": ["incremental: {by: watermark, field: t, lookback: %s}"],
    "Incremental.step": ["incremental: {by: watermark, field: t, step: %s}"],
    "Incremental.unit": ["incremental: {by: watermark, field: t, unit: %s}"],
    "Limits.time": ["limits: {time: %s}"],
    "RateLimit.per": ["rate_limit: {requests: 5, per: %s}"],
    "ResponseRule.wait": ["responses: [{status: 429, action: retry, wait: %s}]"],
    "TaskOptions.execution_timeout": ["task: {execution_timeout: %s}"],
    "TaskOptions.max_retry_delay": ["task: {max_retry_delay: %s}"],
    "TaskOptions.retry_delay": ["task: {retry_delay: %s}"],
}
# And at the top of a file.
TOP_DURATIONS = {
    "DagSpec.dagrun_timeout": ["dagrun_timeout: %s"],
    "RateLimit.per": ["rate_limit: {requests: 5, per: %s}"],
    "TaskOptions.retry_delay": ["default_args: {retry_delay: %s}"],
}


def parts(hint: Any) -> Iterator[Any]:
    """``hint`` and all that it is made of."""
    yield hint
    inside = (hint.__origin__,) if get_origin(hint) is Annotated else get_args(hint)
    for part in inside:
        yield from parts(part)


def list_options(kind: type[Struct], meta: Any, seen: set[type]) -> Iterator[str]:
    """Every option below ``kind`` whose type has ``meta``, as the class and field that define it."""
    seen.add(kind)
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name not in kind.__struct_fields__:
            continue
        found = list(parts(hint))
        if any(get_origin(part) is Annotated and meta in part.__metadata__ for part in found):
            owner = next(base for base in reversed(kind.__mro__) if name in vars(base))
            yield f"{owner.__name__}.{name}"
        for part in found:
            if isinstance(part, type) and issubclass(part, Struct) and part not in seen:
                yield from list_options(part, meta, seen)


def test_every_option_that_is_a_jmespath_has_a_line_here() -> None:
    assert sorted(set(list_options(Endpoint, JMESPATH, set()))) == sorted(WRITTEN)


@pytest.mark.parametrize("path", ["a[", "lower(a)"])
@pytest.mark.parametrize("option", [text for texts in WRITTEN.values() for text in texts])
def test_a_path_that_fails_is_found_in_every_option(option: str, path: str) -> None:
    written = option % f"'{path}'"
    text = SPEC % written
    if written.startswith("destination"):
        text = text.replace("    destination: {path: /d/a}\n", "")
    (problem,) = [one for one in check_text(text).problems if one.rule == "bad-jmespath"]
    line = text.splitlines()[problem.line - 1]
    assert line[problem.col - 1 :].startswith(f"'{path}'")


def test_every_option_that_is_a_duration_has_a_line_here() -> None:
    found = set(list_options(DagSpec, DURATION, set()))
    assert sorted(found) == sorted({**DURATIONS, **TOP_DURATIONS})


@pytest.mark.parametrize("length", ["P9999999999999D", "P101Y"])
@pytest.mark.parametrize("option", [text for texts in DURATIONS.values() for text in texts])
def test_a_duration_of_more_than_a_century_is_found_in_every_option(
    option: str, length: str
) -> None:
    text = SPEC % (option % length)
    assert [one.rule for one in check_text(text).problems].count("bad-duration") == 1


@pytest.mark.parametrize("option", [text for texts in TOP_DURATIONS.values() for text in texts])
def test_a_duration_of_more_than_a_century_is_found_at_the_top(option: str) -> None:
    text = f"{option % 'P101Y'}\n{SPEC % ''}"
    assert [one.rule for one in check_text(text).problems].count("bad-duration") == 1
