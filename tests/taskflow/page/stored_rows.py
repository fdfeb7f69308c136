"""Stored connections for the tests of their forms, and requests as the page makes them."""

from __future__ import annotations

import json
from typing import Any

from tests.taskflow.page.conftest import SAME_ORIGIN

SECRET = "s3cret-of-the-client"
SEED = "rt-s3cret-seed"
Row = dict[str, Any]


def empty() -> None:
    from airflow.models.connection import Connection  # noqa: PLC0415 - Airflow needs its home first
    from airflow.models.log import Log  # noqa: PLC0415 - as above
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import delete  # noqa: PLC0415 - as above

    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_type == "oauth2"))
        session.execute(delete(Log))


def read_row(conn_id: str) -> Row | None:
    """The stored connection, decrypted."""
    from airflow.models.connection import Connection  # noqa: PLC0415 - as above
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import select  # noqa: PLC0415 - as above

    names = ("conn_type", "description", "host", "schema", "login", "password", "port", "extra")
    with create_session() as session:
        row = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
        return None if row is None else {name: getattr(row, name) for name in names}


def write_row(conn_id: str, extra: dict[str, Any] | str, **fields: Any) -> None:
    """Stores a connection as Airflow's own form does."""
    from airflow.models.connection import Connection  # noqa: PLC0415 - as above
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above

    text = extra if isinstance(extra, str) else json.dumps(extra)
    with create_session() as session:
        session.add(
            Connection(**{"conn_id": conn_id, "conn_type": "oauth2", "extra": text, **fields})
        )


def read_audit() -> list[tuple[str, str, dict[str, Any]]]:
    from airflow.models.log import Log  # noqa: PLC0415 - as above
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import select  # noqa: PLC0415 - as above

    with create_session() as session:
        rows = session.scalars(select(Log).order_by(Log.id)).all()
        return [(row.event, row.owner or "", json.loads(row.extra or "{}")) for row in rows]


def zendesk(values: Row | None = None, **fields: Any) -> Row:
    typed = {"subdomain": "acme", "login": "client", "password": SECRET, **(values or {})}
    return {"conn_id": "crm", "provider": "zendesk", "way": "consent", "values": typed, **fields}


def post(client: Any, path: str, body: Any) -> Any:
    return client.post(f"/oauth/api{path}", json=body, headers=SAME_ORIGIN)


def put(client: Any, body: Any, conn_id: str = "crm") -> Any:
    return client.put(f"/oauth/api/connections/{conn_id}", json=body, headers=SAME_ORIGIN)


def open_form(client: Any, conn_id: str = "crm") -> Row:
    answer = post(client, f"/connections/{conn_id}/form", {})
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text
    assert SEED not in answer.text
    form: Row = answer.json()
    return form


def edited(form: Row, values: Row | None = None, **fields: Any) -> Row:
    """The body of an edit that keeps everything but ``values``."""
    stored = form["stored"]
    typed = {**stored["values"], **(values or {})}
    kept = [name for name in stored["hidden"] if name not in typed]
    body = {name: stored[name] for name in ("provider", "way", "description")}
    whole = {**body, "revision": form["revision"], "values": typed, "unchanged": kept}
    return {**whole, **fields}


def fields_of(answer: Any) -> set[str]:
    return {problem["field"] for problem in answer.json()["problems"]}
