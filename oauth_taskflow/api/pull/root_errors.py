"""Finds what a page's body says about a failure, mostly at its root, and makes the error of a page that has nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import requests

from oauth_taskflow.api.decoders.json import Body
from oauth_taskflow.api.errors import excerpt_body
from oauth_taskflow.api.paginators.base import find_or_none
from oauth_taskflow.api.paginators.flags import quote_path
from oauth_taskflow.api.pull.path_roots import leading_steps
from oauth_taskflow.api.pull.selector import RecordSelector
from oauth_taskflow.api.request_secrets import redact_request_text
from oauth_taskflow.errors import RecordsNotFound
from oauth_taskflow.record_values import has_hidden_values

_ERRORS = ("error", "errors")
# Values that some APIs write there after a success, such as TikTok's error.code "ok".
_FINE = frozenset({"", "0", "ok", "none", "null", "false", "no", "success"})
# Keys that say how a request went, in envelopes such as JSend's {"status": "error", "data": null}.
_FLAGS = ("success", "ok")
_OUTCOMES = ("status", "result")
_FAILED = frozenset({"error", "fail", "failed", "failure"})
_CODES = ("code", "status", "statusCode", "status_code")
# The outcome in Nextcloud's envelope (OCS), which answers 200 whatever it is.
_OCS = "ocs.meta.status"
# Keys that say that an answer lacks records, with the value that does: GitHub, Elasticsearch, BigQuery, Azure Resource Graph, Solr.
_GAPS: dict[str, tuple[Any, ...]] = {
    "incomplete_results": (True,),
    "timed_out": (True,),
    "jobComplete": (False,),
    "resultTruncated": (True, "true"),
    "partialResults": (True,),
    "partial_results": (True,),
    "responseHeader.partialResults": (True, "omitted"),
}
# Keys that list what lacks: zones of Google Cloud, keys of DynamoDB.
_LISTS = ("unreachable", "UnprocessedKeys")
_ABOUT_GAPS = frozenset({key.partition(".")[0] for key in (*_GAPS, *_LISTS, "_shards")})
# Keys under which an API doubts the request: MediaWiki and others name there a parameter that is unknown or was lowered; Jira.
_REMARKS = ("warnings", "warning", "warningMessages")
_ABOUT_REMARKS = frozenset(_REMARKS)
_REMARK_SHOWN = 300


class RootError(NamedTuple):
    """A failure that a body reports: its ``key`` at the root, and a JMESPath ``condition`` that is true for it.

    ``is_inner``: ``key`` is the path of an error in an object on the way to the records.
    """

    key: str
    condition: str
    is_inner: bool = False


def find_error(body: Body) -> RootError | None:
    """Returns the ``error`` or ``errors`` at the root; None without one."""
    name = _choose_error({name: find_or_none(body, name) for name in _ERRORS})
    return None if name is None else RootError(name, name)


def find_inner_error(body: Body, path: str) -> RootError | None:
    """Returns the ``error`` or ``errors`` in the object where ``path`` ends early: InfluxDB's ``results[0].error``; else None."""
    return find_error_on_way(body.decode(), leading_steps(path))


def find_error_on_way(node: Any, steps: Sequence[str | int]) -> RootError | None:
    """Returns the ``error`` or ``errors`` of the object within ``node`` that lacks the next of ``steps``; None without one.

    Next to a list that is there, even an empty one, an error may be a field of what the object describes.
    """
    for depth, step in enumerate(steps):
        found = _take_step(node, step)
        if found is None:
            return _find_error_in(node, steps[:depth])
        node = found
    return None


def _take_step(node: Any, step: str | int) -> Any:
    """What is at a key of a mapping or a position of a list; None without it."""
    if isinstance(step, str):
        return node.get(step) if isinstance(node, dict) else None
    is_there = isinstance(node, list) and -len(node) <= step < len(node)
    return node[step] if is_there else None


def _find_error_in(node: Any, steps: Sequence[str | int]) -> RootError | None:
    name = _choose_error(node) if isinstance(node, dict) else None
    if name is None:
        return None
    written = (f"[{step}]" if isinstance(step, int) else f".{_quote_key(step)}" for step in steps)
    path = f"{''.join(written)}.{name}".lstrip(".")
    return RootError(path, path, is_inner=True)


def _choose_error(values: Mapping[str, Any]) -> str | None:
    """Returns the first of ``_ERRORS`` whose value reports a failure; None without one."""
    return next((name for name in _ERRORS if not _means_success(values.get(name))), None)


def _quote_key(key: str) -> str:
    """Returns ``key`` as a part of a JMESPath: in quotation marks unless it consists of letters, digits and underscores."""
    return key if key.isascii() and key.isidentifier() else json.dumps(key)


def find_failure(body: Body) -> RootError | None:
    """Returns another statement of the root that the request failed; for pages without records.

    Next to records the same words describe them as often as not: a build's ``status`` is ``failed``.
    """
    root = body.decode()
    if not isinstance(root, dict):
        return None
    said = {key: root.get(key) for key in (*_FLAGS, *_OUTCOMES, *_CODES)}
    said[_OCS] = find_or_none(body, _OCS)
    return next(
        (_root_error(key, value) for key, value in said.items() if _is_failure(key, value)), None
    )


def find_gap(body: Body) -> RootError | None:
    """Returns the statement of the root that the answer lacks records, such as ``timed_out: true``; None without one."""
    if not body.has_any(_ABOUT_GAPS):
        return None
    for key, values in _GAPS.items():
        value = find_or_none(body, key)
        if any(value is each or (isinstance(value, str) and value == each) for each in values):
            return _root_error(key, value)
    listed = next((key for key in _LISTS if find_or_none(body, key)), None)
    if listed is not None:
        return RootError(listed, listed)
    failed = find_or_none(body, "_shards.failed")
    is_number = isinstance(failed, int) and not isinstance(failed, bool)
    return RootError("_shards.failed", "_shards.failed > `0`") if is_number and failed > 0 else None


def quote_remark(response: requests.Response, body: Body, list_keys: Sequence[str]) -> str:
    """Returns the API's own warning at the root of a page, as ``warnings: …`` without our secrets; empty without one.

    ``list_keys`` lead to the records, which are no remark. Where values are hidden, the key alone is returned.
    """
    if not body.has_any(_ABOUT_REMARKS):
        return ""
    for key in _REMARKS:
        value = None if key in list_keys[:1] else find_or_none(body, key)
        if not isinstance(value, str | list | dict) or _means_success(value):
            continue
        if has_hidden_values():
            return key
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        clean = redact_request_text(response.request, text)
        text = " ".join("".join(c if c.isprintable() else " " for c in clean).split())
        return f"{key}: {text[:_REMARK_SHOWN]}{'…' if len(text) > _REMARK_SHOWN else ''}"
    return ""


def no_records_error(
    response: requests.Response, body: Body, selector: RecordSelector, found: RootError
) -> RecordsNotFound:
    """Returns the error of a body that reports a failure and has no records; ``retryable``, and quotes the body."""
    single = "If this is a record, write records: {path: '@', single: true}. "
    # A single record is the body itself, and may hold what `fields` hides.
    quoted = "" if has_hidden_values() else excerpt_body(response)
    # Quotation marks within the condition would end those around it.
    when = quote_path(found.condition) if '"' in found.condition else f'"{found.condition}"'
    return RecordsNotFound(
        f"The answer has {'an' if found.is_inner else 'a root'} error ({found.key}) and no records{quoted}",
        where=body.where,
        hint=f"{single if selector.options.single else ''}If the API means the end or nothing by it, write responses: "
        f"[{{when: {when}, action: end}}]. {selector.describe_correction(body)}",
        retryable=True,
    )


def _root_error(key: str, value: Any) -> RootError:
    literal = f"'{value}'" if isinstance(value, str) else f"`{json.dumps(value)}`"
    return RootError(key, f"{key} == {literal}")


def _is_failure(key: str, value: Any) -> bool:
    if key in _FLAGS and value is False:
        return True
    if key in (*_OUTCOMES, _OCS) and isinstance(value, str) and value.lower() in _FAILED:
        return True
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return key in _CODES and is_number and 400 <= value <= 599


def _means_success(error: Any) -> bool:
    if isinstance(error, str):
        return error.strip().lower() in _FINE
    if isinstance(error, dict) and "code" in error:
        return _means_success(error["code"])
    return error in (None, False, 0, [], {})
