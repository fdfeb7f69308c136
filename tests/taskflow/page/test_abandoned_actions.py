"""The audit log after a server was killed in the middle of an action: it says that the outcome is not known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.refresh import lease_owner
from tests.taskflow.conftest import Connect
from tests.taskflow.page.conftest import SAME_ORIGIN
from tests.taskflow.page.consents import agree, begin, come_back, finish, read_ticket
from tests.taskflow.page.stored_rows import empty, read_audit

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("no_connections", "own_store")]
KILLED = """
import os, signal
from types import SimpleNamespace
from oauth_taskflow.taskflow.page.audit import audited

with audited(SimpleNamespace(get_name=lambda: "ann"), "revoke", "crm", why="test"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
ELSEWHERE = "worker-7|another-machine|1|1"


@pytest.fixture(autouse=True)
def look_at_once(root_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from oauth_taskflow.taskflow.page import audit  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setattr(audit, "_LOOK_PAUSE", 0.0)
    monkeypatch.setattr(audit._Look, "next", 0.0)


def look() -> None:
    """Looks as each API server does every minute, and before each action."""
    from oauth_taskflow.taskflow.page import audit  # noqa: PLC0415 - as above

    audit.close_abandoned()


def write_begun(server: str, *, age: timedelta) -> None:
    from airflow.models.log import Log  # noqa: PLC0415 - as above
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above

    extra = {"connection_id": "crm", "outcome": "begun", "server": server}
    with create_session() as session:
        row = Log(event="oauth_refresh", owner="ann", extra=json.dumps(extra))
        row.dttm = datetime.now(timezone.utc) - age
        session.add(row)


def outcomes() -> list[str]:
    return [extra["outcome"] for _, _, extra in read_audit()]


def test_after_a_kill_the_next_look_writes_that_the_outcome_is_not_known() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert outcomes() == ["begun"]
    look()
    ((event, owner, extra),) = read_audit()
    assert (event, owner, extra["connection_id"], extra["why"]) == (
        "oauth_revoke",
        "ann",
        "crm",
        "test",
    )
    assert extra["outcome"].startswith("unknown: process ")
    assert extra["outcome"].endswith(" ended before the action did")
    assert "server" not in extra


def test_an_action_of_another_machine_is_given_up_after_an_hour() -> None:
    for minutes in (59, 61):
        write_begun(ELSEWHERE, age=timedelta(minutes=minutes))
    write_begun("", age=timedelta(days=1))  # by a release that did not name the server
    look()
    assert sorted(outcomes()) == [
        "begun",
        "unknown: process 1 on host worker-7 ended before the action did",
        "unknown: the server ended before the action did",
    ]


def test_an_action_that_runs_is_left_alone_and_ends_with_its_own_outcome() -> None:
    from types import SimpleNamespace  # noqa: PLC0415 - as the process above

    from oauth_taskflow.taskflow.page import audit  # noqa: PLC0415 - as above

    user: Any = SimpleNamespace(get_name=lambda: "ann")
    with audit.audited(user, "test", "crm") as note:
        write_begun(lease_owner.this_process(), age=timedelta(hours=2))
        look()
        assert outcomes() == ["begun", "begun"]
        note.outcome = "works"
    assert sorted(outcomes()) == ["begun", "works"]
    assert os.getpid() == int(lease_owner.this_process().split("|")[2])


def test_a_code_that_nobody_followed_is_given_up_once_it_has_run_out() -> None:
    from types import SimpleNamespace  # noqa: PLC0415 - as the process above

    from oauth_taskflow.taskflow.page import audit  # noqa: PLC0415 - as above

    user: Any = SimpleNamespace(get_name=lambda: "ann")
    audit.begin_followed(user, "connect", "crm", "a", 1800, way="device")
    audit.begin_followed(user, "connect", "crm", "b", -61, way="device")
    other: Any = SimpleNamespace(get_name=lambda: "eve")
    audit.end_followed(other, "connect", "crm", "a", "failed: not hers", way="device")
    look()
    assert outcomes() == [
        "begun",
        "unknown: its code ran out, and no page heard how it ended",
        "failed: not hers",
    ]
    assert "until" not in read_audit()[1][2]
    audit.end_followed(user, "connect", "crm", "a", "connected", way="device")
    assert outcomes()[0] == "connected"


@pytest.fixture
def read_only_database(root_app: Any) -> Iterator[None]:
    """Airflow's metadata database takes no writes, as a replica or a full disk."""
    from airflow import settings  # noqa: PLC0415 - as above

    def refuse_writes(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA query_only=ON")

    engine: Any = settings.engine
    event.listen(engine, "checkout", refuse_writes)
    yield
    event.remove(engine, "checkout", refuse_writes)
    engine.dispose()


def test_without_writes_to_the_database_the_list_is_shown_and_nothing_is_done(
    admin: TestClient,
    connect: Connect,
    oauth_server: OAuthTestServer,
    request: pytest.FixtureRequest,
) -> None:
    connect()
    request.getfixturevalue("read_only_database")
    assert admin.get("/oauth/api/connections").status_code == 200
    for path, body in (("refresh", {}), ("forget", {}), ("consent", {"way": "device"})):
        answer = admin.post(f"/oauth/api/connections/crm/{path}", json=body, headers=SAME_ORIGIN)
        assert "The audit log cannot be written" in answer.json()["detail"]
        assert "so nothing was done" in answer.json()["detail"]
    assert oauth_server.requests == []


@pytest.mark.usefixtures("at_loopback")
def test_a_parked_answer_waits_for_the_audit_log(
    admin: TestClient, connect: Connect, request: pytest.FixtureRequest
) -> None:
    from oauth_taskflow.taskflow.grants.served_consent import (  # noqa: PLC0415 - as above
        open_consents,
    )

    connect()
    place = come_back(admin, agree(begin(admin)))
    request.getfixturevalue("read_only_database")
    answer = finish(admin, place)
    assert "The audit log cannot be written" in answer.json()["detail"]
    assert answer.status_code == 503  # after which the page asks again
    assert open_consents().read(read_ticket(place)) is not None


def test_an_unknown_action_is_refused_by_the_code_itself(root_app: Any) -> None:
    from oauth_taskflow.taskflow.page import audit  # noqa: PLC0415 - as above

    user: Any = None
    with pytest.raises(AssertionError, match="without an outcome"), audit.audited(user, "x", "crm"):
        pass


def test_a_database_that_is_away_hides_how_an_action_ended_and_undoes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from types import SimpleNamespace  # noqa: PLC0415 - as the process above

    from oauth_taskflow.taskflow.page import audit  # noqa: PLC0415 - as above

    def refuse() -> Any:
        raise OperationalError("UPDATE log", {}, OSError("the server is away"))

    user: Any = SimpleNamespace(get_name=lambda: "ann")
    audit.begin_followed(user, "connect", "crm", "a", 1800, way="device")
    with pytest.MonkeyPatch.context() as away:
        with audit.audited(user, "test", "crm") as note:
            note.outcome = "works"
            away.setattr(audit, "create_session", refuse)
        audit.end_followed(user, "connect", "crm", "a", "done", way="device")
        audit.close_abandoned()
    assert outcomes() == ["begun", "begun"]
    said = [record.message for record in caplog.records if record.name == "oauth_taskflow.audit"]
    assert said == [
        "How it ended is missing in the audit log: OperationalError",
        "ann: test of connection 'crm': works",
        "How it ended is missing in the audit log: OperationalError",
        "ann: connect of connection 'crm': done",
        "The audit log cannot be searched: OperationalError",
    ]


def test_a_row_that_was_deleted_meanwhile_is_not_written_again() -> None:
    from types import SimpleNamespace  # noqa: PLC0415 - as the process above

    from oauth_taskflow.taskflow.page import audit  # noqa: PLC0415 - as above

    user: Any = SimpleNamespace(get_name=lambda: "ann")
    with audit.audited(user, "test", "crm"):
        empty()  # as by ``airflow db clean``
    assert outcomes() == []
