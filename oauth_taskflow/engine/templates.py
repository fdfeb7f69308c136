"""Fills the templates of a spec with values of the run, in Jinja's sandbox.

An undefined name, and a value of None, fail: neither may turn up in a URL as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, TemplateError, Undefined, UndefinedError

from oauth_taskflow.engine.sandbox import Sandbox
from oauth_taskflow.errors import TemplateFailed

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
_WHOLE = re.compile(r"^\s*\{\{((?:(?!\{\{|\}\}).)*)\}\}\s*$", re.DOTALL)


def _checked(value: Any) -> Any:
    if value is None:
        raise ValueError("it gave null")
    if callable(value) and not isinstance(value, Undefined):
        raise TypeError("it gave a method, not a value; a method needs () behind it")
    return value


def _as_text(value: Any) -> str:
    """``value`` inside a longer text: never in Python's spelling."""
    if isinstance(_checked(value), bool):
        return "true" if value else "false"
    if isinstance(value, (Mapping, list, tuple, set)):
        kind = "mapping" if isinstance(value, Mapping) else "list"
        raise TypeError(f"it gave a {kind} inside a text; pick one value, or use join or tojson")
    return str(value)


def _path_segment(value: Any) -> str:
    return quote(_as_text(value), safe="")


def _environment(finalize: Any) -> Sandbox:
    # Jinja's HTML escaping would corrupt URLs and JSON: what is rendered here is never a page.
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


def render_text(template: str, scope: Mapping[str, Any]) -> str:
    """``template`` as text.

    Raises:
        TemplateFailed: undefined name, null, or an error inside.
    """
    if "{" not in template:
        return template
    return str(_evaluate(template, lambda: _compile_text(template, path=False).render(scope)))


def render_path(template: str, scope: Mapping[str, Any]) -> str:
    """``template`` as a URL path: each value filled in is percent-encoded as one segment (RFC 3986 §3.3).

    Raises:
        TemplateFailed: undefined name, null, an error inside, or a value that is a dot segment.
    """
    if "{" not in template:
        return template
    rendered = str(_evaluate(template, lambda: _compile_text(template, path=True).render(scope)))
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


def render_value(value: Any, scope: Mapping[str, Any]) -> Any:
    """``value`` with every text in it rendered; a text that is one whole ``{{ … }}`` keeps the value's type.

    Raises:
        TemplateFailed: as in ``render_text``.
    """
    if isinstance(value, str):
        whole = _WHOLE.match(value) if "{{" in value else None
        if whole is None:
            return render_text(value, scope)
        return _evaluate(value, lambda: _native(whole.group(1), scope))
    if isinstance(value, Mapping):
        return {key: render_value(item, scope) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [render_value(item, scope) for item in value]
    return value


def _native(expression: str, scope: Mapping[str, Any]) -> Any:
    value = _compile_expression(expression)(**scope)
    if isinstance(value, Undefined):
        str(value)  # StrictUndefined raises here, with the name in its message
    return _checked(value)


def _evaluate(template: str, run: Any) -> Any:
    try:
        return run()
    except UndefinedError as error:
        raise _undefined(template, error) from error
    except (
        *(TemplateError, ValueError, TypeError, AttributeError),
        *(LookupError, ArithmeticError, RecursionError),
    ) as error:
        raise TemplateFailed(template, str(error)) from error


def _undefined(template: str, error: UndefinedError) -> TemplateFailed:
    """The failure of a name without a value; for a name that only some runs have, why this run has not."""
    match = _UNDEFINED.fullmatch(str(error))
    name = match[1] if match else ""
    if name not in _MISSING_IN_SOME_RUNS:
        return TemplateFailed(template, str(error))
    reason, hint = _MISSING_IN_SOME_RUNS[name]
    return TemplateFailed(template, f"{name!r} has no value, because {reason}", hint=hint)
