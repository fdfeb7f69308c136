"""No null of Airflow's form reaches a stored connection of this package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

FORM = ("provider", "auth_type", "token_url", "issuer", "grant_type", "client_auth", "scope")
REST = ("audience", "private_key", "authorize_url", "refresh_token", "api_key_name", "login_url")
# The body of a form that was not filled.
UNFILLED = json.dumps(dict.fromkeys((*FORM, *REST, "api_headers")), indent=2)


@pytest.fixture
def stored(root_app: Any) -> Iterator[Any]:
    """``stored(extra)`` writes a connection as Airflow's API does, and returns what the database holds of its extra."""
    from airflow.models.connection import Connection  # noqa: PLC0415 - Airflow needs its home first
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import delete, select  # noqa: PLC0415 - as above

    assert root_app

    def store(extra: str | None, conn_type: str = "oauth2") -> Any:
        with create_session() as session:
            row = session.scalar(select(Connection).where(Connection.conn_id == "form"))
            if row is None:
                row = Connection(conn_id="form", conn_type=conn_type)
                session.add(row)
            row.set_extra(extra)
        with create_session() as session:
            row = session.scalars(select(Connection).where(Connection.conn_id == "form")).one()
            return row.extra

    yield store
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id == "form"))


def test_a_form_that_nobody_filled_leaves_no_null_and_nothing_that_looks_secret(
    stored: Any,
) -> None:
    extra = json.loads(stored(UNFILLED))
    assert None not in extra.values()
    assert not {"token_url", "private_key", "refresh_token", "api_key_name"} & extra.keys()
    assert extra["api_headers"] == {}
    assert (extra["provider"], extra["scope"]) == ("", "")


def test_a_field_that_is_emptied_later_leaves_no_null(stored: Any) -> None:
    assert json.loads(stored('{"provider": "xero", "scope": "read", "leeway": 5}'))["leeway"] == 5
    edited = json.loads(stored('{"provider": "xero", "scope": null, "leeway": null}'))
    assert edited == {"provider": "xero", "scope": ""}


def test_what_was_typed_stays_byte_by_byte(stored: Any) -> None:
    for text in ('{ "provider":"xero",  "jwt_claims":{"iss":null} }', "{}"):
        assert stored(text) == text


def test_connections_of_other_types_keep_their_nulls(stored: Any) -> None:
    assert stored('{"a": null}', "http") == '{"a": null}'


def test_what_remains_means_the_same(stored: Any) -> None:
    from oauth_taskflow.connections.parse import parse_connection  # noqa: PLC0415 - as above
    from tests.connections.samples import connection  # noqa: PLC0415 - as above

    typed = {**json.loads(UNFILLED), "token_url": "https://id.example.com/token", "scope": "read"}
    before, after = (connection(text) for text in (json.dumps(typed), stored(json.dumps(typed))))
    assert parse_connection(before) == parse_connection(after)


def test_listening_twice_cleans_once(root_app: Any) -> None:
    from airflow.models.connection import Connection  # noqa: PLC0415 - as above
    from sqlalchemy import event  # noqa: PLC0415 - as above

    from oauth_taskflow.taskflow.page import form_nulls  # noqa: PLC0415 - as above

    assert root_app
    form_nulls.keep_nulls_out()
    for moment in ("before_insert", "before_update"):
        assert event.contains(Connection, moment, form_nulls._clean_row)
    event.remove(Connection, "before_update", form_nulls._clean_row)
    assert not event.contains(Connection, "before_update", form_nulls._clean_row)
    form_nulls.keep_nulls_out()
    assert event.contains(Connection, "before_update", form_nulls._clean_row)
