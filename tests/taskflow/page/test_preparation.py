"""The work of a server process for the page when it starts, before the first user looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Integer
from sqlalchemy.orm import DeclarativeBase, Mapper, class_mapper, relationship

from tests.browser import grants
from tests.taskflow.page.stored_rows import write_row

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("no_connections")]
API = "https://api.example.com"


def start_server(root_app: Any) -> None:
    """Starts and ends a server with the apps of ``root_app`` as Airflow does, and waits for its preparation."""
    from airflow.api_fastapi.app import lifespan  # noqa: PLC0415 - needs its home first
    from fastapi import FastAPI  # noqa: PLC0415 - as above
    from starlette.testclient import TestClient  # noqa: PLC0415 - as above

    from oauth_taskflow.taskflow.page.app import PREPARATION  # noqa: PLC0415 - as above

    with TestClient(FastAPI(lifespan=lifespan, routes=root_app.routes)):
        for thread in threading.enumerate():
            if thread.name == PREPARATION:
                thread.join()


@pytest.fixture
def map_class() -> Iterator[Callable[..., Mapper[Any]]]:
    """Makes a class of the ORM that no query has used, in its own registry."""

    class Base(DeclarativeBase):
        """That registry's base class."""

    def make(**columns: Any) -> Mapper[Any]:
        name = {"__tablename__": "unused", "id": Column(Integer, primary_key=True)}
        return class_mapper(type("Unused", (Base,), {**name, **columns}), configure=False)

    yield make
    Base.registry.dispose()


def test_a_server_that_starts_connects_the_classes_of_the_orm_before_the_first_query(
    root_app: Any, map_class: Callable[..., Mapper[Any]]
) -> None:
    mapper = map_class()
    assert not mapper.configured
    start_server(root_app)
    assert mapper.configured


def test_classes_that_cannot_be_connected_leave_the_server_alone(
    root_app: Any, map_class: Callable[..., Mapper[Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    mapper = map_class(other=relationship("Missing"))
    start_server(root_app)
    assert not mapper.configured
    assert "Traceback" not in capfd.readouterr().err


def test_the_first_list_of_a_server_that_has_started_reads_no_grant_and_no_connection_again(
    root_app: Any, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_taskflow.taskflow.config import fernet_keys, store_url  # noqa: PLC0415 - needs its home first
    from oauth_taskflow.taskflow.grants import current_grant, overview  # noqa: PLC0415 - as above
    from oauth_taskflow.tokens.registry import open_store  # noqa: PLC0415 - as above
    from oauth_taskflow.tokens.sql import listing  # noqa: PLC0415 - as above

    monkeypatch.setattr(overview, "_MOST_READ", 2)  # of a look, not of the first one
    names = [f"early_{number}" for number in range(4)]
    store = open_store(store_url(), fernet_keys())
    ends = {"token_url": "https://id.example.com/t", "authorize_url": "https://id.example.com/a"}
    for name in names:
        write_row(
            name,
            {**ends, "grant_type": "authorization_code"},
            login="me",
            password="s3cret",
            host=API,
        )
        grants.put(store, name)
    start_server(root_app)
    parsed: list[str] = []

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(listing, "to_record", refuse)
    monkeypatch.setattr(
        current_grant, "parse_connection", lambda fields, **_: parsed.append(fields.conn_id)
    )
    rows = {
        row["conn_id"]: row for row in admin.get("/oauth/api/connections").json()["connections"]
    }
    assert [rows[name]["grants"][0]["health"] for name in names] == ["superseded"] * 4
    assert parsed == []
