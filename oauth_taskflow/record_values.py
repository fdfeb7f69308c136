"""How values of records show in messages, warnings and logs: one decision for all of them.

An engine that runs an endpoint with ``fields.hash`` or ``fields.drop`` sets a policy. Where it hides a value, a message has the
value's kind, length and shape instead, from which a wrong date can still be recognised. Without a policy values show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from msgspec import Struct

from oauth_taskflow.redaction import is_sensitive_name, redact_text

# Characters of a value that are shown, and how many are searched for secrets.
_SHOWN, _SEARCHED = 40, 4000
_LETTERS = re.compile("[^\\W\\d_]+")
_OTHERS = re.compile("[^\x20-\x7e]")
# JSON's word for each kind of value; other numbers come as their own classes.
_KINDS = {
    bool: "a boolean",
    type(None): "null",
    dict: "a mapping",
    list: "a list",
}


class ValuePolicy(Struct, frozen=True):
    """Which values of records may show: ``is_shown`` answers for a path, ``""`` where the path is unknown.

    ``params`` are the query parameters whose values are hidden in URLs.
    """

    is_shown: Callable[[str], bool]
    params: frozenset[str] = frozenset()


# Threads that read ahead run in a copy of the context, so that it holds for them too.
_policy: ContextVar[ValuePolicy | None] = ContextVar("oauth_taskflow_value_policy", default=None)


@contextmanager
def apply_policy(policy: ValuePolicy | None) -> Iterator[None]:
    """Lets ``policy`` decide until the end of the ``with`` block; None shows all values."""
    token = _policy.set(policy)
    try:
        yield
    finally:
        _policy.reset(token)


def has_hidden_values() -> bool:
    """Whether texts of other libraries, which may quote any value, must not show."""
    return _policy.get() is not None


def list_hidden_params() -> frozenset[str]:
    """Returns the query parameters whose values must not show."""
    policy = _policy.get()
    return frozenset() if policy is None else policy.params


def is_value_shown(path: str) -> bool:
    """Whether a message may show the value at ``path`` of a record."""
    policy = _policy.get()
    return not is_sensitive_name(path) and (policy is None or policy.is_shown(path))


def show_value(value: Any, path: str = "") -> str:
    """Returns a decoded value as Python writes it, 40 characters at most; its kind, length and shape where it is hidden.

    Mappings and lists may hold what is hidden, whatever their own path.
    """
    is_container = isinstance(value, (dict, list)) and has_hidden_values()
    if is_container or not is_value_shown(path):
        return _describe(value)
    return cut_text(repr(value))[0]


def cut_text(text: str) -> tuple[str, bool]:
    """Returns the beginning of ``text`` without secrets, and whether more follows."""
    clean = redact_text(text[:_SEARCHED])
    return clean[:_SHOWN], len(clean) > _SHOWN


def _describe(value: Any) -> str:
    known = _KINDS.get(type(value))
    if known is not None:
        return known
    if isinstance(value, str):
        return describe_hidden("text", value)
    return describe_hidden("number", str(value))


def describe_hidden(kind: str, text: str) -> str:
    """Returns the kind of a value, the length of its text, and its shape: ``a text of 10 characters like '99.99.9999'``.

    A shape has ``9`` for each digit and ``a`` for the letters of a word. Values without digits, and long ones, have none.
    """
    if kind == "boolean":
        return "a boolean"
    shape = _LETTERS.sub("a", re.sub(r"\d", "9", text)) if len(text) <= _SHOWN else ""
    like = f" like '{_OTHERS.sub('?', shape)}'" if "9" in shape else ""
    return f"a {kind} of {len(text):,} characters{like}"


def find_cause(error: BaseException) -> BaseException | None:
    """Returns what an error is raised from: nothing where the text of ``error`` may quote a value that is hidden.

    Logs print the texts of all causes.
    """
    return None if has_hidden_values() else error
