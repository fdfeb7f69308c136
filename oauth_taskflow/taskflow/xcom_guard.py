"""Keeps sessions and tokens out of XCom, state and asset events, which Airflow stores in clear text and shows in its UI."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import httpx
import requests
from msgspec import Struct
from requests.auth import AuthBase

from oauth_taskflow.errors import ResultRefused
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.secret_registry import list_secrets

T = TypeVar("T")

# Shorter secrets are words (a password "admin"): data may hold them by chance. From 16 characters on, a secret is also
# found inside a longer text, as in "Bearer …".
_SHORTEST_WHOLE = 8
_SHORTEST_PART = 16

_LIVE_OBJECTS: tuple[tuple[type, str], ...] = (
    (requests.Session, "an authenticated session"),
    (AuthBase, "an auth object"),
    (requests.Response, "a response, whose request carries the token"),
    (requests.PreparedRequest, "a request that carries the token"),
    (httpx.AsyncClient, "an authenticated session"),
    (httpx.Response, "a response, whose request carries the token"),
    (httpx.Request, "a request that carries the token"),
    (Token, "a token"),
)
_HINT = (
    "XCom stores values in clear text: return the data, and let the next task open its own session."
)
_HINT_ELSEWHERE = (
    "Airflow stores it in clear text: keep only data, and let the next task open its own session."
)


def reject_secrets(value: T, where: str, *, what: str = "The result", hint: str = _HINT) -> T:
    """Returns ``value`` unchanged, unless it is or contains a session or a secret.

    Raises:
        ResultRefused: it does. ``where`` names the owner of the value, and ``what`` the kind of value.
    """
    found = _Search(list_secrets()).find(value, "")
    if found is None:
        return value
    secret, path = found
    at = f" at {path}" if path else ""
    raise ResultRefused(f"{what} holds {secret}", where=f"{where}{at}", hint=hint)


def reject_iterator(value: Any, where: str) -> None:
    """Refuses a generator, such as the unread records of ``session.paginate``.

    Raises:
        ResultRefused: XCom cannot store it, and trying again cannot help.
    """
    if isinstance(value, Generator | AsyncGenerator):
        hint = "Return list(…) of it; write large data to a file and return its path."
        raise ResultRefused("An unread generator is the result", where=where, hint=hint)


class _Search:
    """Searches containers for secrets, each object once, so that cycles end."""

    def __init__(self, secrets: Mapping[str, tuple[str, ...]]) -> None:
        self._whole = {
            form
            for secret, forms in secrets.items()
            for form in forms
            if len(secret) >= _SHORTEST_WHOLE
        }
        self._parts = [form for form in self._whole if len(form) >= _SHORTEST_PART]
        self._shortest = min(map(len, self._whole), default=0)
        self._seen: set[int] = set()

    def find(self, value: Any, path: str) -> tuple[str, str] | None:
        """The kind of secret and its path below ``path``, or None."""
        if isinstance(value, str | bytes):
            return self._search_text(value, path)
        if value is None or isinstance(value, int | float):
            return None
        for kind, name in _LIVE_OBJECTS:
            if isinstance(value, kind):
                return name, path
        if id(value) in self._seen:
            return None
        self._seen.add(id(value))
        found = (self.find(item, f"{path}{step}") for step, item in _list_items(value))
        return next((hit for hit in found if hit), None)

    def _search_text(self, value: str | bytes, path: str) -> tuple[str, str] | None:
        if not self._whole or len(value) < self._shortest:
            return None
        text = value if isinstance(value, str) else value.decode("latin-1")
        if text in self._whole or any(part in text for part in self._parts):
            return "a token or secret of a connection", path
        return None


def _list_items(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            # A key may be the secret itself: it is searched, and never shown.
            yield "[key]", key
            yield f"[{key!r}]" if isinstance(key, str | int) else "[…]", item
    elif isinstance(value, Sequence | AbstractSet):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    else:
        for name in _list_field_names(value):
            yield f".{name}", getattr(value, name)


def _list_field_names(value: Any) -> tuple[str, ...]:
    if isinstance(value, Struct):
        return value.__struct_fields__
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(field.name for field in fields(value))
    # Classes of attrs and pydantic, which Airflow stores too.
    attributes = getattr(type(value), "__attrs_attrs__", ())
    return (*(one.name for one in attributes), *getattr(type(value), "model_fields", ()))


@contextmanager
def guard_pushes(context: Mapping[str, Any], where: str) -> Iterator[None]:
    """Refuses sessions and secrets that the block pushes to XCom, state and asset events through ``context``.

    ``where`` names the task.

    Raises:
        ResultRefused: at the end of the block, when an asset event holds one.
    """
    with ExitStack() as stack:
        ti = context.get("ti")
        guards = _guard_methods(ti, ("xcom_push", "axcom_push"), f"{where} for XCom key")
        stack.enter_context(guards)
        for store in _list_state_stores(context):  # since Airflow 3.3
            wording = {"what": "The state", "hint": _HINT_ELSEWHERE}
            stack.enter_context(
                _guard_methods(store, ("set", "aset"), f"{where} for key", **wording)
            )
        yield
    for asset, event in context.get("outlet_events", {}).items():
        owner = f"{where} for {asset.name!r}"
        reject_secrets(event, owner, what="The asset event", hint=_HINT_ELSEWHERE)


def _list_state_stores(context: Mapping[str, Any]) -> Iterator[Any]:
    yield context.get("task_state_store")
    asset_store = context.get("asset_state_store")
    if asset_store is not None:
        yield asset_store
        for asset in (*context["inlets"], *context["outlets"]):
            with suppress(KeyError, TypeError):  # an alias, which does not name an asset yet
                yield asset_store[asset]


@contextmanager
def _guard_methods(
    owner: Any, names: tuple[str, ...], where: str, **wording: str
) -> Iterator[None]:
    """Makes the methods ``names`` of ``owner`` check values inside the block; missing methods are skipped."""

    def guard(real: Callable[..., Any]) -> Callable[..., Any]:
        def put(key: str, value: Any, **options: Any) -> Any:
            return real(key, reject_secrets(value, f"{where} {key!r}", **wording), **options)

        return put

    guards = {name: guard(getattr(owner, name)) for name in names if hasattr(owner, name)}
    # The task instance is a pydantic model, whose __setattr__ refuses unknown attributes. An object with slots has no __dict__.
    own: dict[str, Any] = getattr(owner, "__dict__", {})
    own.update(guards)
    try:
        yield
    finally:
        for name in guards:
            own.pop(name, None)
