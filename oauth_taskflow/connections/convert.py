"""Converts the values in ``extra`` to the type of their key, and accepts the texts that Airflow's form stores.

A number, a list or a mapping may arrive as text, as it was typed. Empty text means "not given".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from oauth_taskflow.api.rate_limit import RateLimit
from oauth_taskflow.connections.brokered import BrokeredFields, read_brokered
from oauth_taskflow.connections.fields.field import ConnectionField, ValueKind
from oauth_taskflow.connections.fields.grants import GRANT_NAMES
from oauth_taskflow.connections.readers.rate_limit import read_limits
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.dpop import DPOP_ALGORITHMS
from oauth_taskflow.oauth.endpoint.request_encoding import JsonText
from oauth_taskflow.schema.types import LONGEST_TIMEOUT
from oauth_taskflow.suggestions import find_closest

_GRANT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._:/-]+")  # RFC 6749 §4.5: a name, or a URI

Value = Any  # JSON enters here and leaves as the type that the field's kind names


class BadValue(Exception):
    """A value does not fit its field. The text says which values fit, and never repeats the value."""


def is_given(value: object) -> bool:
    """Whether a field holds a value: the form stores null or empty text for fields left blank."""
    return value is not None and value not in ("", {}, [])


def _text(value: Value) -> str:
    if isinstance(value, (bool, dict, list)):
        raise BadValue("must be text")
    return str(value).strip()


def _secret(value: Value) -> str:
    if not isinstance(value, str):
        raise BadValue("must be text")
    if any(ord(char) < 32 for char in value.strip()):
        raise BadValue("must not hold line breaks or control characters")
    return value.strip()


def _document(value: Value) -> str:
    if not isinstance(value, str):
        raise BadValue("must be text")
    return value.strip()


def _grant_name(value: Value) -> str:
    text = _text(value)
    return GRANT_NAMES.get(text, text)


def _scope_text(value: Value) -> str:
    return " ".join(_list(value)) if isinstance(value, list) else _text(value)


def _number(value: Value) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise BadValue("must be a number, 0 or more")
    return number


def _from_json(value: Value, opening: str) -> Value:
    if isinstance(value, str) and value.strip().startswith(opening):
        try:
            return json.loads(value)
        except ValueError:
            raise BadValue("is not valid JSON") from None
    return value


def _list(value: Value) -> tuple[str, ...]:
    value = _from_json(value, "[")
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadValue("must be a list of texts")
    return tuple(item.strip() for item in value if item.strip())


def _mapping(value: Value) -> dict[str, str]:
    value = _from_json(value, "{")
    if not isinstance(value, dict):
        raise BadValue('must be a mapping, as in {"name": "value"}')
    if any(isinstance(item, (dict, list)) or item is None for item in value.values()):
        raise BadValue("must map names to texts")
    return {name: _plain(item) for name, item in value.items()}


def _params(value: Value) -> dict[str, str]:
    """Converts a mapping, in which lists and mappings become the text of their JSON."""
    value = _from_json(value, "{")
    if not isinstance(value, dict):
        return _mapping(value)
    texts = {
        name: JsonText(json.dumps(item)) if isinstance(item, (dict, list)) else item
        for name, item in value.items()
    }
    return {**_mapping(texts), **{n: t for n, t in texts.items() if isinstance(t, JsonText)}}


def _convert_nested(value: Value) -> dict[str, Value]:
    """Converts a mapping of names to texts; lists and mappings in it stay as they are."""
    value = _from_json(value, "{")
    if not isinstance(value, dict):
        return _mapping(value)
    inner = {name: item for name, item in value.items() if isinstance(item, (dict, list))}
    flat = _mapping({name: item for name, item in value.items() if name not in inner})
    return {name: inner.get(name, flat.get(name)) for name in value}


def _members(value: Value) -> dict[str, Value]:
    """Converts a mapping of names to any JSON."""
    value = _from_json(value, "{")
    return value if isinstance(value, dict) else _mapping(value)


def _plain(item: Value) -> str:
    return json.dumps(item) if isinstance(item, bool) else str(item)


def _timeout(value: Value) -> tuple[float, float]:
    value = _from_json(value, "[")
    parts = value.split(",") if isinstance(value, str) else value
    parts = parts if isinstance(parts, list) else [parts]
    numbers = [_number(part) for part in parts]
    if len(numbers) not in {1, 2} or 0 in numbers:
        raise BadValue("must be one or two numbers of seconds above 0")
    if max(numbers) > LONGEST_TIMEOUT:
        raise BadValue(f"must be at most {LONGEST_TIMEOUT} seconds")
    return numbers[0], numbers[-1]


def _verify(value: Value) -> bool | str:
    if isinstance(value, bool):
        return value
    text = _text(value)
    return {"true": True, "false": False}.get(text.lower(), text)


def _dpop(value: Value) -> str:
    """Returns the algorithm; empty for false."""
    text = json.dumps(value) if isinstance(value, bool) else _text(value)
    known = {"true": DPOP_ALGORITHMS[0], "false": ""} | {name: name for name in DPOP_ALGORITHMS}
    if text not in known:
        raise BadValue(f"must be true, false or one of {', '.join(DPOP_ALGORITHMS)}")
    return known[text]


def _to_brokered(value: Value) -> BrokeredFields:
    try:
        return read_brokered(value)
    except msgspec.ValidationError:
        raise BadValue(
            "is not what the broker writes; remove it: only the broker writes it"
        ) from None


def _to_rate_limit(value: Value) -> tuple[RateLimit, ...]:
    try:
        return read_limits(_from_json(_from_json(value, "["), "{"))
    except ValueError as flaw:
        raise BadValue(str(flaw)) from None


def _cert(value: Value) -> str | tuple[str, str]:
    paths = _list(value)
    if len(paths) not in {1, 2}:
        raise BadValue("must be one path, or the paths of certificate and key")
    return paths[0] if len(paths) == 1 else (paths[0], paths[1])


_CONVERTERS: dict[ValueKind, Callable[[Value], Value]] = {
    "text": _text,
    "secret": _secret,
    "choice": _text,
    "document": _document,
    "grant": _grant_name,
    "client_auth": _text,
    "number": _number,
    "timeout": _timeout,
    "list": _list,
    "mapping": _mapping,
    "params": _params,
    "nested": _convert_nested,
    "members": _members,
    "verify": _verify,
    "cert": _cert,
    "dpop": _dpop,
    "brokered": _to_brokered,
    "rate_limit": _to_rate_limit,
}


def convert(field: ConnectionField, value: Value) -> Value:
    """Returns ``value`` as the type of ``field``.

    Raises:
        BadValue: it does not fit; the text says which values do.
    """
    # People write lists for these two, which are sent with blanks between the items.
    as_list = field.name in {"scope", "audience"}
    converter = _scope_text if as_list else _CONVERTERS[field.kind]
    converted = converter(value)
    allowed = list_allowed_values(field)
    if not allowed or converted in allowed:
        return converted
    if field.kind == "grant" and _is_vendors(converted, field.choices):
        return converted
    short = {registered: name for name, registered in GRANT_NAMES.items()}
    raise BadValue(f"must be one of {', '.join(short.get(name, name) for name in allowed)}")


def list_allowed_values(field: ConnectionField) -> tuple[str, ...]:
    """Returns the values that ``field`` may have, registered ones included; empty if every value of its kind fits."""
    return tuple(CLIENT_AUTH_METHODS) if field.kind == "client_auth" else field.choices


def _is_vendors(name: str, known: Iterable[str]) -> bool:
    """Whether ``name`` can be a vendor's own grant: well-formed, and not one of ours misspelled."""
    ours = [*known, *GRANT_NAMES]
    return bool(_GRANT_NAME.fullmatch(name)) and not find_closest(name, ours, cutoff=0.9)
