"""One key of a connection as a form shows it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.connections.fields.field import ConnectionField, ValueKind
from oauth_taskflow.connections.fields.table import BY_NAME
from oauth_taskflow.presets.model import Variable
from oauth_taskflow.presets.page import variable_text
from oauth_taskflow.redaction import is_sensitive_name

# How a form asks for a value; "json" is an object or list as JSON.
InputKind = Literal["text", "password", "document", "choice", "json"]
_OBJECTS: frozenset[ValueKind] = frozenset({"mapping", "params", "nested", "members"})


class FormKey(Struct, frozen=True, kw_only=True):
    """The text that people read about one key, and how they fill it.

    ``is_required``: a connection without it is refused. ``is_hidden``: a stored value is never shown. ``choices`` are the
    only values unless ``is_open``. ``placeholder`` is an example, ``default`` what applies if nothing is typed.
    """

    name: str
    label: str
    help: str
    input: InputKind = "text"
    is_required: bool = False
    is_hidden: bool = False
    choices: tuple[str, ...] = ()
    is_open: bool = False
    placeholder: str = ""
    default: str = ""


def make_key(name: str, *, required: bool = False, says: str = "", default: str = "") -> FormKey:
    """Returns the key ``name`` of every connection; ``says`` replaces the help of the table."""
    field = BY_NAME[name]
    return FormKey(
        name=name,
        label=field.label,
        help=says or field.description,
        input=_input_of(field),
        is_required=required,
        is_hidden=hides_value(field),
        choices=field.choices,
        is_open=field.is_open,
        default=default,
    )


def make_own_key(name: str, variable: Variable) -> FormKey:
    """Returns the key ``name`` that only connections of one preset have."""
    return FormKey(
        name=name,
        label=name.replace("_", " ").capitalize(),
        help=variable_text(replace(variable, default=None)),
        input="choice" if variable.values else "text",
        is_required=variable.default is None,
        is_hidden=hides_own_value(name),
        choices=tuple(value for value in variable.values if value),
        placeholder=variable.example,
        default=variable.default or "",
    )


def hides_value(field: ConnectionField) -> bool:
    """Whether a stored value of ``field`` is never shown: secrets, and objects, which may hold some under any name."""
    return field.is_secret or field.holds_secrets or field.kind in _OBJECTS


def hides_own_value(name: str) -> bool:
    """Whether a stored value of a preset's own key is never shown, because the key sounds like a secret."""
    return is_sensitive_name(name)


def takes_object(name: str) -> bool:
    """Whether the key ``name`` of every connection holds a JSON object."""
    return name in BY_NAME and BY_NAME[name].kind in _OBJECTS


def _input_of(field: ConnectionField) -> InputKind:
    if field.is_secret:
        return "document" if field.kind == "document" else "password"
    if field.kind in _OBJECTS or field.kind == "rate_limit":
        return "json"
    return "choice" if field.choices else "text"
