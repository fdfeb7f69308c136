"""A draft: what was typed for a new connection. It becomes an Airflow connection with these values alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from oauth_taskflow.connections.convert import is_given
from oauth_taskflow.connections.drafts.check_on_server import parse_without_files
from oauth_taskflow.connections.drafts.form_key import takes_object
from oauth_taskflow.connections.drafts.preset_form import find_preset
from oauth_taskflow.connections.drafts.ways import Way, list_ways
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.presets.model import Preset
from oauth_taskflow.presets.page import variable_text
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.suggestions import did_you_mean

# Fields of an Airflow connection; every other value goes into extra.
FIELDS = ("host", "login", "password")
# What Airflow's REST API accepts, and its table has room for (airflow.models.Connection). The password is stored encrypted.
# "." and ".." would be folders in the addresses of Airflow and of the page.
_CONN_ID = re.compile(r"(?!\.{1,2}$)[\w.-]+")
_LONGEST: Mapping[str, int] = {
    "conn_id": 200,
    "host": 500,
    "login": 5000,
    "password": 3500,
    "description": 5000,
    "extra": 60_000,
}
_DECIDED = frozenset({"provider", "auth_type"})
# What Airflow shows instead of a secret, and takes for the stored one.
_MASKED = "***"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Draft(SecretValue, frozen=True, kw_only=True):
    """A connection as it was typed. ``provider`` is a preset's name, or empty; ``way`` the name of one of its ways.

    ``values`` holds what was typed by key: fields of the connection, keys of the preset, keys of every connection.
    """

    conn_id: str
    provider: str = ""
    way: str = ""
    description: str = ""
    values: Hidden[Mapping[str, Any]] = field(default_factory=dict)


class DraftedConnection(SecretValue, frozen=True, kw_only=True):
    """An Airflow connection that is not stored. ``extra`` is JSON text without nulls, empty values and defaults."""

    conn_id: str
    conn_type: str = "oauth2"
    description: str | None = None
    host: str | None = None
    schema: str | None = None
    login: str | None = None
    password: Hidden[str | None] = None
    port: int | None = None
    extra: Hidden[str] = "{}"


class FieldProblem(Struct, frozen=True):
    """The flaw in the value of one key, and what to do; neither text repeats the value."""

    field: str
    what: str
    hint: str = ""


class WrongDraft(Exception):
    """A draft cannot become a connection; ``problems`` names every reason that was found, ``status`` is HTTP's."""

    status = 422

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__("; ".join(problem.what for problem in problems))
        self.problems = problems


def write_connection(
    draft: Draft, own: Path | None = None, *, is_new: bool = True
) -> DraftedConnection:
    """Returns the connection of ``draft``, checked as a task would check it; ``own`` is the folder of the user's presets.

    The name of one that is not new is taken as it is.

    Raises:
        WrongDraft: values are missing, unknown, of the wrong form, or contradict each other.
    """
    preset, way = choose_way(draft, own)
    values = {
        name: value
        for name, value in _strip_values(draft.values).items()
        if not _is_default(preset, name, value)
    }
    problems = list(_find_flaws(draft, values, is_new=is_new))
    if problems:
        raise WrongDraft(*problems)
    connection = _put_together(draft, way, values)
    try:
        check_connection(connection, own)
    except WrongDraft as wrong:
        raise WrongDraft(*(_name_missing(one, preset, values) for one in wrong.problems)) from None
    return connection


def check_connection(connection: DraftedConnection, own: Path | None = None) -> None:
    """Checks ``connection`` as a task would, except for files, which only the machines of tasks have.

    Raises:
        WrongDraft: a task would refuse it, or Airflow has no room for it.
    """
    problems = list(_find_too_long(connection))
    try:
        parse_without_files(connection, own)
    except ConnectionConfigError as error:
        problems += [FieldProblem(one.field, one.what, one.hint) for one in error.problems]
    if problems:
        raise WrongDraft(*problems)


def choose_way(draft: Draft, own: Path | None = None) -> tuple[Preset, Way]:
    """Returns the preset and the way that ``draft`` names; the first way if it names none.

    Raises:
        WrongDraft: one of them does not exist.
    """
    try:
        preset = find_preset(draft.provider, own, conn_id=draft.conn_id)
    except ConnectionConfigError as error:
        raise WrongDraft(FieldProblem("provider", error.what, error.hint)) from None
    ways = {way.name: way for way in list_ways(preset)}
    if draft.way and draft.way not in ways:
        hint = did_you_mean(draft.way, ways) or f"Use one of {', '.join(ways)}."
        raise WrongDraft(FieldProblem("way", f"{preset.title} has no such way to tokens", hint))
    return preset, ways[draft.way] if draft.way else next(iter(ways.values()))


def _name_missing(problem: FieldProblem, preset: Preset, values: Mapping[str, Any]) -> FieldProblem:
    """The problem as a form says it: a key of the preset that is missing is a field, and no key of extra."""
    variable = preset.variables.get(problem.field)
    if variable is None or problem.field in values:
        return problem
    return FieldProblem(problem.field, "This is missing", variable_text(variable))


def _strip_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values that were given, without blanks around texts; the text of a JSON object becomes the object."""
    stripped = {
        name: value.strip() if isinstance(value, str) else value for name, value in values.items()
    }
    given = {name: value for name, value in stripped.items() if is_given(value)}
    return {
        name: _read_object(value) if takes_object(name) else value for name, value in given.items()
    }


def _read_object(value: Any) -> Any:
    """The object that ``value`` is the JSON of; other values as they are, for the check to name."""
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _is_default(preset: Preset, name: str, value: Any) -> bool:
    variable = preset.variables.get(name)
    return variable is not None and value == variable.default


def _put_together(draft: Draft, way: Way, values: Mapping[str, Any]) -> DraftedConnection:
    """Returns the connection that holds ``values``.

    Raises:
        WrongDraft: JSON has no form for one of them.
    """
    provider = draft.provider.strip().lower()
    # A refresh token says by itself that a person consented.
    implied = way.by_person and "refresh_token" in values
    extra = {
        **({"provider": provider} if provider else {}),
        **({} if implied else way.writes),
        **{name: value for name, value in values.items() if name not in FIELDS},
    }
    try:
        text = json.dumps(extra, allow_nan=False)
    except (ValueError, RecursionError):
        what = "A value is nested too deeply, or a number is not finite"
        raise WrongDraft(FieldProblem("extra", what, "Write it as plain JSON.")) from None
    return DraftedConnection(
        conn_id=draft.conn_id,
        description=draft.description.strip() or None,
        host=values.get("host"),
        login=values.get("login"),
        password=values.get("password"),
        extra=text,
    )


def _find_flaws(draft: Draft, values: Mapping[str, Any], *, is_new: bool) -> Iterator[FieldProblem]:
    """Finds what Airflow could not store, and what only the form decides."""
    if is_new and not _CONN_ID.fullmatch(draft.conn_id):
        hint = "Write letters, digits, _, . and -, without blanks, and more than . or .. alone."
        yield FieldProblem("conn_id", "This cannot be the name of a connection", hint)
    for name in sorted(_DECIDED & values.keys()):
        yield FieldProblem(name, "The provider and the way decide this", "Choose them instead.")
    typed = {**values, "description": draft.description}
    for name, value in typed.items():
        if value == _MASKED:
            yield FieldProblem(name, "*** stands for a secret that is hidden", "Type the value.")
        elif name in (*FIELDS, "description") and not isinstance(value, str):
            yield FieldProblem(name, "The value must be text")
        elif _CONTROL.search(value if isinstance(value, str) else ""):
            yield FieldProblem(name, "The value holds a control character", "Type it again.")


def _find_too_long(connection: DraftedConnection) -> Iterator[FieldProblem]:
    for name, longest in _LONGEST.items():
        if len(getattr(connection, name) or "") > longest:
            yield FieldProblem(name, f"The value has more than {longest} characters")
