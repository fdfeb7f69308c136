"""Rules about JMESPath expressions and regular expressions."""

from __future__ import annotations

from collections.abc import Iterator

from oauth_taskflow.api.paginators.base import TotalRows
from oauth_taskflow.api.paginators.flags import PageFlag
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.fields.options import PathValue
from oauth_taskflow.jmespath_flaws import find_flaw
from oauth_taskflow.specs.export_cursor import CursorPlace
from oauth_taskflow.specs.model import Endpoint, ForEachOptions
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.windows import Incremental
from oauth_taskflow.text_patterns import regex_flaw


@endpoint_rule("bad-jmespath")
def bad_jmespath(view: EndpointView) -> Findings:
    """A path that JMESPath cannot read, or that fails for every value; names with other characters need quotes.

    A function must be one of JMESPath's, with its number of arguments; `&` is before those of `map`, `sort_by`, `min_by` and
    `max_by` that name a field.

    Bad: `next: @odata.nextLink`, `records: data[`, `where: "lower(state) == 'open'"`, `records: map(items, &id)`

    Good: `next: '"@odata.nextLink"'`, `records: data[]`, `where: "state == 'open'"`, `records: map(&id, items)`
    """
    for path, expression in list_expressions(view):
        flaw = find_flaw(expression)
        if flaw is not None:
            yield Finding(path, flaw.reason, flaw.hint)


def list_expressions(view: EndpointView) -> Iterator[tuple[YamlPath, str]]:
    """Yields the JMESPath expressions of an endpoint, with the place of each."""
    endpoint = view.endpoint
    yield from _record_expressions(endpoint)
    yield from _paginator_expressions(endpoint)
    if endpoint.incremental is not None:
        yield from _incremental_expressions(endpoint.incremental)
    for index, rule in enumerate(endpoint.responses):
        if rule.when is not None:
            yield ("responses", index, "when"), rule.when
    for name, over in endpoint.for_each.items():
        if isinstance(over, ForEachOptions):
            yield from _variable_expressions(name, over)
    for path, options in view.destinations:
        if isinstance(options, PostgresDestination) and options.deleted_when is not None:
            yield (*path, "deleted_when"), options.deleted_when


def _incremental_expressions(options: Incremental) -> Iterator[tuple[YamlPath, str]]:
    if options.field is not None:
        yield ("incremental", "field"), options.field
    if isinstance(options.cursor, CursorPlace):
        yield ("incremental", "cursor", "path"), options.cursor.path
    elif options.cursor is not None:
        yield ("incremental", "cursor"), options.cursor
    if options.expired.when is not None:
        yield ("incremental", "expired", "when"), options.expired.when


def _variable_expressions(name: str, over: ForEachOptions) -> Iterator[tuple[YamlPath, str]]:
    if over.key is not None:
        yield ("for_each", name, "key"), over.key
    for key, field in over.copy.items():
        path: YamlPath = ("for_each", name, "copy", key)
        yield (path, field) if isinstance(field, str) else ((*path, "path"), field.path)


def _record_expressions(endpoint: Endpoint) -> Iterator[tuple[YamlPath, str]]:
    if isinstance(endpoint.records, Records):
        yield ("records", "path"), endpoint.records.path or "@"
    elif endpoint.records is not None:
        yield ("records",), endpoint.records
    if isinstance(endpoint.primary_key, list):
        yield from ((("primary_key", i), key) for i, key in enumerate(endpoint.primary_key))
    elif endpoint.primary_key is not None:
        yield ("primary_key",), endpoint.primary_key
    if endpoint.where is not None:
        yield ("where",), endpoint.where
    for name, value in endpoint.fields.set.items() if endpoint.fields is not None else ():
        if isinstance(value, PathValue):
            yield ("fields", "set", name, "path"), value.path


def _paginator_expressions(endpoint: Endpoint) -> Iterator[tuple[YamlPath, str]]:
    if endpoint.paginate is None:
        return
    for name in endpoint.paginate.path_options:
        option = getattr(endpoint.paginate, name)
        expression = getattr(option, "path", option)
        if expression is not None:
            inside = () if option is expression else ("path",)
            yield ("paginate", name, *inside), expression
    cap = endpoint.paginate.cap
    if cap is not None and cap.field is not None:
        yield ("paginate", "cap", "field"), cap.field
    total = endpoint.paginate.announced_total.path
    if total is not None:
        is_long = isinstance(endpoint.paginate.total, TotalRows)
        yield ("paginate", "total", *(("path",) if is_long else ())), total


@endpoint_rule("bad-regex", about=("paginate", "responses"))
def bad_regex(view: EndpointView) -> Findings:
    """A header condition and a flag's `matches` are regular expressions, and this one cannot be read.

    Bad: `header: {X-State: "*off"}`, `more: {header: X-More, matches: "+"}`

    Good: `header: {X-State: ".*off"}`, `more: {header: X-More, matches: "yes|true"}`
    """
    for path, pattern in _patterns(view.endpoint):
        if reason := regex_flaw(pattern):
            yield Finding(path, f"not a regular expression: {reason}", "Escape symbols by \\.")


def _patterns(endpoint: Endpoint) -> Iterator[tuple[YamlPath, str]]:
    for name in ("more", "last"):
        flag = getattr(endpoint.paginate, name, None)
        if isinstance(flag, PageFlag) and flag.matches is not None:
            yield ("paginate", name, "matches"), flag.matches
    for index, rule in enumerate(endpoint.responses):
        yield from ((("responses", index, "header", n), p) for n, p in rule.header.items())
