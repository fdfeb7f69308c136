"""Rules about JMESPath expressions and regular expressions."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import lru_cache

from oauth_taskflow.api.paginators.base import TotalRows
from oauth_taskflow.api.paginators.flags import PageFlag
from oauth_taskflow.api.pull.records import Records
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from oauth_taskflow.fields.options import PathValue
from oauth_taskflow.specs.export_cursor import CursorPlace
from oauth_taskflow.specs.model import Endpoint, ForEachOptions
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.windows import Incremental

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z", re.ASCII)
# Compiling takes a second for each hundred thousand characters.
LONGEST = 10_000
_JSON_PATH = re.compile(r"\$(?:\.|\[|$)")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""")
_OTHER_LANGUAGES = (
    (re.compile(r"(?<![=!<>])=(?!=)"), "Compare with ==."),
    (re.compile(r"(?i)\b(?:and|or|not)\b"), "Write && for and, || for or, ! for not."),
    (re.compile(r"[=<>]\s*-?\d"), "Numbers stand in backticks: `5`."),
)


@endpoint_rule("bad-jmespath")
def bad_jmespath(view: EndpointView) -> Findings:
    """A path that JMESPath cannot read, or that fails for every value; names with other characters need quotes.

    A function must be one of JMESPath's, with its number of arguments; `&` is before those of `map`, `sort_by`, `min_by` and
    `max_by` that name a field.

    Bad: `next: @odata.nextLink`, `records: data[`, `where: "lower(state) == 'open'"`, `records: map(items, &id)`

    Good: `next: '"@odata.nextLink"'`, `records: data[]`, `where: "state == 'open'"`, `records: map(&id, items)`
    """
    for path, expression in list_expressions(view):
        flaw = None if _PLAIN.match(expression) else _find_flaw(expression)
        if flaw is not None:
            yield Finding(path, *flaw)


def _find_hint(expression: str) -> str:
    """The way to write what other query languages write like ``expression``."""
    if _JSON_PATH.match(expression):
        return f"JMESPath has no $ for the whole body: begin with a name, as in {expression.lstrip('$.') or '@'}."
    outside = _QUOTED.sub("''", expression)
    found = (hint for pattern, hint in _OTHER_LANGUAGES if pattern.search(outside))
    return next(found, "Quote names with other characters inside the text: '\"@type\"'.")


@lru_cache(maxsize=4096)
def _find_flaw(expression: str) -> tuple[str, str] | None:
    """Message and hint about an ``expression`` that cannot be read, or that always fails."""
    import jmespath  # noqa: PLC0415  # most expressions are plain paths, which need no parser
    from jmespath.exceptions import JMESPathError  # noqa: PLC0415  # as above

    from oauth_taskflow.jmespath_calls import find_path_flaw  # noqa: PLC0415  # as above

    if len(expression) > LONGEST:
        return f"not a JMESPath: longer than {LONGEST} characters", _find_hint(expression)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            flaw = find_path_flaw(jmespath.compile(expression).parsed)
        return None if flaw is None else (f"this JMESPath always fails: {flaw.reason}", flaw.hint)
    except PendingDeprecationWarning:
        reason = "backticks enclose JSON; write text as 'text'"
    except (JMESPathError, ValueError, RecursionError) as error:
        text = next(iter(str(error).splitlines()), "").partition(", for expression")[0]
        reason = text.rstrip(": ") or type(error).__name__
    return f"not a JMESPath: {reason}", _find_hint(expression)


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
        reason = _regex_error(pattern)
        if reason:
            yield Finding(path, f"not a regular expression: {reason}", "Escape symbols by \\.")


def _patterns(endpoint: Endpoint) -> Iterator[tuple[YamlPath, str]]:
    for name in ("more", "last"):
        flag = getattr(endpoint.paginate, name, None)
        if isinstance(flag, PageFlag) and flag.matches is not None:
            yield ("paginate", name, "matches"), flag.matches
    for index, rule in enumerate(endpoint.responses):
        yield from ((("responses", index, "header", n), p) for n, p in rule.header.items())


@lru_cache(maxsize=1024)
def _regex_error(pattern: str) -> str:
    if len(pattern) > LONGEST:
        return f"longer than {LONGEST} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return ""
