"""Fills templates with values, in Jinja's sandbox.

An undefined name, and a value of None, fail: neither may appear in a URL as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, TemplateError, Undefined, UndefinedError, nodes

from oauth_taskflow.errors import TemplateFailed
from oauth_taskflow.record_values import find_cause, has_hidden_values
from oauth_taskflow.templates.names import OMIT as OMIT_NAME
from oauth_taskflow.templates.sandbox import Sandbox

_NO_DATE = (
    "this run has no logical date: it was triggered by hand, by the API or by assets, or its DAG has no schedule",
    "Write {{ run_after }}, for a date {{ run_after.strftime('%Y-%m-%d') }}: every run has it. Or trigger the run with a "
    "logical date.",
)
_NO_INTERVAL = (
    "this run has no data interval: it was triggered by hand, by the API or by assets, or its DAG has no schedule",
    "Write {{ window.start }} and {{ window.end }} with incremental, or {{ run_after }}: every run has them.",
)
_MISSING_IN_SOME_RUNS = {
    **dict.fromkeys(("ds", "ds_nodash", "ts", "ts_nodash", "logical_date"), _NO_DATE),
    **dict.fromkeys(("data_interval_start", "data_interval_end"), _NO_INTERVAL),
}
_UNDEFINED = re.compile(r"'(\w+)' is undefined")
_MISSING = re.compile(
    r"'(\w+)' is undefined|'[\w. ]+ object' has no (?:attribute|element) '?(\w+)'?"
)
_WITHOUT_PAGE_VALUE = re.compile(r"'\S*PageValues object' has no attribute '(\w+)'")
# A hyphen or plus next to the braces is Jinja's control of white space, not a sign.
_WHOLE = re.compile(r"\s*\{\{[-+]?((?:(?!\{\{|\}\}).)*?)-?\}\}\s*", re.DOTALL)
_OUTER = re.compile(r"\s*\{\{[-+]?(.*?)-?\}\}\s*", re.DOTALL)


_OMIT_FLAW = "omit leaves out a whole value, and this is a path, a part of a text or a destination"


class _Flaw(TypeError):
    """A template gives what it must not give; the text says what, and quotes no value."""


class _Omit:
    """The value of ``omit`` in templates: leaves out the parameter, header, key or list item that it stands for."""

    __slots__ = ()

    def __repr__(self) -> str:
        return OMIT_NAME

    def __str__(self) -> str:
        raise _Flaw(_OMIT_FLAW)


OMIT = _Omit()


class PageValues(dict[str, Any]):
    """The values of a page in templates; a name without a value is undefined there."""


def _require_value(value: Any) -> Any:
    if value is None:
        raise _Flaw("it gave null")
    if callable(value) and not isinstance(value, Undefined):
        raise _Flaw("it gave a method, not a value; a method needs () behind it")
    return value


def _as_text(value: Any) -> str:
    """Returns ``value`` as it is written inside a longer text, never in Python's spelling."""
    if isinstance(_require_value(value), bool):
        return "true" if value else "false"
    text = str(value)  # raises for what is undefined, or must not be used at all
    if not isinstance(value, str) and isinstance(value, Iterable):
        kind = "mapping" if isinstance(value, Mapping) else "list"
        raise _Flaw(f"it gave a {kind} inside a text; pick one value, or use join or tojson")
    return text


def _path_segment(value: Any) -> str:
    return quote(_as_text(value), safe="")


def _environment(finalize: Any) -> Sandbox:
    # Jinja's HTML escaping would corrupt URLs and JSON, and nothing rendered here is a web page.
    return Sandbox(
        undefined=StrictUndefined,
        autoescape=False,
        finalize=finalize,
        keep_trailing_newline=True,
    )


_TEXT = _environment(_as_text)
_PATH = _environment(_path_segment)


@lru_cache(maxsize=4096)
def _compile_text(template: str, *, path: bool) -> Any:
    return (_PATH if path else _TEXT).from_string(template)


@lru_cache(maxsize=4096)
def _compile_expression(expression: str) -> Any:
    return _TEXT.compile_expression(expression, undefined_to_none=False)


@lru_cache(maxsize=4096)
def _find_expression(template: str) -> str | None:
    """Returns the expression of a template that is one whole ``{{ … }}``, with braces in it or not; None for others."""
    plain = _WHOLE.fullmatch(template)
    if plain is not None:
        return plain.group(1)
    outer = _OUTER.fullmatch(template)
    if outer is None:
        return None
    try:
        body = _TEXT.parse(template.strip()).body
    except TemplateError:
        return None  # rendering says why
    is_one = len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1
    return outer.group(1) if is_one else None


def render_text(template: str, context: Mapping[str, Any]) -> str:
    """Renders ``template`` as text.

    Raises:
        TemplateFailed: undefined name, null, or an error inside.
    """
    if "{" not in template:
        return template
    return str(_evaluate(template, lambda: _compile_text(template, path=False).render(context)))


def render_encoded(template: str, context: Mapping[str, Any]) -> str:
    """Renders ``template`` with each value percent-encoded as one segment of a path.

    Raises:
        TemplateFailed: as in ``render_text``.
    """
    return str(_evaluate(template, lambda: _compile_text(template, path=True).render(context)))


def render_path(template: str, context: Mapping[str, Any]) -> str:
    """Renders ``template`` as a URL path; each value is percent-encoded as one segment (RFC 3986 §3.3).

    Raises:
        TemplateFailed: undefined name, null, an error inside, or a value that is a dot segment.
    """
    if "{" not in template:
        return template
    rendered = render_encoded(template, context)
    # A value of ".." would climb out of the API's path although every character of it is legal.
    if any(part in {".", ".."} for part in rendered.partition("?")[0].split("/")):
        raise TemplateFailed(template, "it gave a path with . or .. as a segment")
    if _has_gap(rendered, template):
        raise TemplateFailed(template, "it gave an empty segment, which names another resource")
    return rendered


def _has_gap(rendered: str, template: str) -> bool:
    """Whether a value was empty: ``/contacts//notes``, and ``/contacts/`` where a contact was meant."""
    path = rendered.partition("?")[0]
    ends = path.endswith("/") and not template.partition("?")[0].rstrip().endswith("/")
    return (ends and len(path) > 1) or ("//" in path and "//" not in template)


def render_value(value: Any, context: Mapping[str, Any]) -> Any:
    """Renders every text in ``value``; a text that is one whole ``{{ … }}`` keeps the value's type.

    Keys and list items whose value is ``OMIT`` are left out; ``value`` itself may be it.

    Raises:
        TemplateFailed: as in ``render_text``.
    """
    if isinstance(value, str):
        expression = _find_expression(value) if "{{" in value else None
        if expression is None:
            return render_text(value, context)
        made = _evaluate(value, lambda: _evaluate_expression(expression, context))
        return _leave_out(made) if OMIT_NAME in value else made
    if isinstance(value, Mapping):
        rendered = {key: render_value(item, context) for key, item in value.items()}
        return {key: item for key, item in rendered.items() if item is not OMIT}
    if isinstance(value, (list, tuple)):
        return [made for item in value if (made := render_value(item, context)) is not OMIT]
    return value


def _leave_out(value: Any) -> Any:
    """Returns ``value`` without what is ``OMIT`` inside of it."""
    if isinstance(value, Mapping):
        return {key: _leave_out(item) for key, item in value.items() if item is not OMIT}
    if isinstance(value, (list, tuple)):
        return [_leave_out(item) for item in value if item is not OMIT]
    return value


def _evaluate_expression(expression: str, context: Mapping[str, Any]) -> Any:
    value = _compile_expression(expression)(context)  # no keywords: a name may be self
    if isinstance(value, Undefined):
        str(value)  # StrictUndefined raises here, with the name in its message
    _require_value(value)
    return _make_lists(value) if "|" in expression or "(" in expression else value


def _make_lists(value: Any) -> Any:
    """Returns ``value`` with lists in place of what can be read only once, as from ``map`` and ``select``: pages are many."""
    if isinstance(value, (str, Undefined)) or not isinstance(value, Iterable):
        return value
    if isinstance(value, dict):
        return {key: _make_lists(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_make_lists(item) for item in value]
    is_plural = isinstance(value, (Iterator, AbstractSet, ValuesView, range))
    return [_make_lists(item) for item in value] if is_plural else value


def _evaluate(template: str, run: Any) -> Any:
    try:
        return run()
    except UndefinedError as error:
        raise _explain_undefined(template, error) from find_cause(error)
    except SyntaxError as error:  # Python refuses what Jinja made of it
        raise TemplateFailed(template, error.msg) from error
    except (
        *(TemplateError, ValueError, TypeError, AttributeError),
        *(LookupError, ArithmeticError, RecursionError),
    ) as error:
        raise TemplateFailed(template, _explain(template, error)) from find_cause(error)


def _explain(template: str, error: Exception) -> str:
    """Returns why a template failed: the library's text, where it quotes no value that is hidden (``record_values``)."""
    if not has_hidden_values() or isinstance(error, _Flaw):
        return str(error)
    quoted = _MISSING.fullmatch(str(error)) if isinstance(error, UndefinedError) else None
    if quoted is not None and (quoted[1] or quoted[2]) in template:
        return str(error)
    return (
        f"{type(error).__name__}, whose text may show a value that fields.hash or fields.drop hides"
    )


def _explain_undefined(template: str, error: UndefinedError) -> TemplateFailed:
    """Returns the error for a name without a value, with the reason where only some runs have that name."""
    late = _WITHOUT_PAGE_VALUE.fullmatch(str(error))
    if late is not None:
        reason = f"page.{late[1]} has no value on this page"
        hint = f"On page one, leave it out: {{{{ page.{late[1]} | default(omit) }}}}."
        return TemplateFailed(template, reason, hint=hint)
    match = _UNDEFINED.fullmatch(str(error))
    name = match[1] if match else ""
    if name not in _MISSING_IN_SOME_RUNS:
        return TemplateFailed(template, _explain(template, error))
    reason, hint = _MISSING_IN_SOME_RUNS[name]
    return TemplateFailed(template, f"{name!r} has no value, because {reason}", hint=hint)


def render_header(template: str, context: Mapping[str, Any]) -> str | None:
    """Renders a header's value; None for ``omit``.

    Characters that RFC 9110 §5.5 forbids would fail deep in the HTTP library.
    """
    if OMIT_NAME in template and render_value(template, context) is OMIT:
        return None
    value = render_text(template, context).strip()
    if any(
        ord(character) > 255 or (ord(character) < 32 and character != "\t") for character in value
    ):
        raise TemplateFailed(
            template,
            "it gave a line break or a character outside Latin-1, which no header can carry",
        )
    return value
