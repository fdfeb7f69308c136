"""Where connections come from: lists, secrets backends without a list, DAGs that name one, and grants that outlived theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oauth_taskflow.taskflow.config import fernet_keys, store_url
from oauth_taskflow.taskflow.grants import overview
from oauth_taskflow.taskflow.grants.backend_answers import BackendAnswers
from oauth_taskflow.taskflow.grants.connection_list import BackendFailed
from oauth_taskflow.taskflow.grants.overview import ConnectionOverview, read_overview
from oauth_taskflow.taskflow.grants.usage import DagUse, UsageIndex
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.tokens.registry import open_store
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.browser import grants
from tests.support.clock import FakeClock
from tests.taskflow.conftest import SetConnection


class Known(UsageIndex):
    """An index that has read the DAGs already."""

    def find_users(self, wait: float = 0.0) -> dict[str, tuple[DagUse, ...]]:
        uses = {name: (DagUse("d", ("t",)),) for name in ("named", "vaulted", "crm")}
        return {**uses, "of_others": (DagUse("d", ("sql",), is_certain=False),)}


@pytest.fixture
def store(airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> SqlTokenStore:
    assert airflow_home.is_dir()
    monkeypatch.setattr(overview, "USES", Known())
    monkeypatch.setattr(overview, "BACKENDS", BackendAnswers())
    monkeypatch.setattr(overview, "_WAIT_FOR_BACKENDS", 120.0)  # a busy machine starts threads late
    return open_store(store_url(), fernet_keys())


def read() -> dict[str, ConnectionOverview]:
    return {one.conn_id: one for one in read_overview()}


def test_grants_without_a_connection_are_orphaned_and_named_ids_without_one_missing(
    store: SqlTokenStore, set_connection: SetConnection, oauth_server: OAuthTestServer
) -> None:
    set_connection("crm", oauth_server.connection())
    grants.put(store, "gone")
    found = read()
    assert {name: one.health for name, one in found.items()} == {
        "crm": "unused",
        "gone": "orphaned",
        "named": "missing",
        "vaulted": "missing",
    }
    assert found["crm"].used_by == (DagUse("d", ("t",)),)


def test_a_backend_without_a_list_is_asked_for_what_is_named_and_believed_for_a_while(
    store: SqlTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.taskflow.grants.vault import Vault  # noqa: PLC0415 - Airflow needs its home first

    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.taskflow.grants.vault.Vault")
    Vault.asked.clear()
    grants.put(store, "gone")
    found = read()
    vaulted = found["vaulted"]
    assert (vaulted.health, vaulted.source) == ("unused", "secrets backend")
    assert vaulted.summary is not None
    assert vaulted.summary.title == "Xero"
    assert (found["gone"].health, found["named"].health) == ("orphaned", "missing")
    asked = len(Vault.asked)
    read()
    assert len(Vault.asked) == asked


def test_a_backend_is_not_asked_for_everything_at_once_and_what_is_unknown_is_not_called_orphaned(
    store: SqlTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.taskflow.grants.vault import Vault  # noqa: PLC0415 - as above

    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.taskflow.grants.vault.Vault")
    Vault.asked.clear()
    for number in range(20):
        grants.put(store, f"gone_{number:02}")
    healths = [one.health for name, one in read().items() if name.startswith("gone")]
    assert 1 <= healths.count("orphaned") <= 5
    assert healths.count("healthy") == 20 - healths.count("orphaned")
    for _ in range(5):
        healths = [one.health for name, one in read().items() if name.startswith("gone")]
    assert healths == ["orphaned"] * 20


def test_a_backend_that_hangs_keeps_nobody_from_the_list(
    store: SqlTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.taskflow.grants.vault import Vault  # noqa: PLC0415 - as above

    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.taskflow.grants.vault.Vault")
    monkeypatch.setattr(Vault, "is_open", threading.Event())
    monkeypatch.setattr(overview, "_WAIT_FOR_BACKENDS", 0.01)
    Vault.asked.clear()
    for _ in range(3):
        vaulted = read()["vaulted"]
        assert (vaulted.health, vaulted.source) == ("never_connected", "")
    assert len(Vault.asked) <= 1
    Vault.is_open.set()
    monkeypatch.setattr(overview, "_WAIT_FOR_BACKENDS", 120.0)
    while read()["vaulted"].source != "secrets backend":
        time.sleep(0.01)


def test_a_broken_backend_hides_nothing(
    store: SqlTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.taskflow.grants.vault.Vault")
    grants.put(store, "broken")
    found = read()["broken"]
    assert found.grants[0].state == "fresh"
    assert (found.health, found.source) == ("healthy", "")  # not orphaned: it is not known


def test_a_backend_that_fails_later_leaves_what_was_known_and_is_asked_again_soon() -> None:
    clock, failing = FakeClock(), {"vaulted": False, "gone": False}

    def ask(conn_id: str) -> Any | None:
        if failing[conn_id]:
            raise BackendFailed("Vault")
        there = SimpleNamespace(conn_type="oauth2", extra="{}")
        return there if conn_id == "vaulted" else None

    answers = BackendAnswers(ask, clock)

    def find() -> list[bool | None]:
        found = answers.find(failing, 120.0)
        return [None if one is None else one.exists for one in (found["vaulted"], found["gone"])]

    assert find() == [True, False]
    failing |= {"vaulted": True, "gone": True}
    clock.advance(301.0)
    assert find() == [True, False]  # as before the failure
    failing["other"] = True
    assert answers.find(["other"], 120.0) == {"other": None}
    failing |= dict.fromkeys(failing, False)
    clock.advance(16.0)
    answers.find(["other"], 120.0)
    assert answers.find(["other"], 120.0)["other"] is not None


@pytest.fixture
def row() -> Iterator[Callable[..., None]]:
    """``row("crm")`` stores a connection in the metadata database."""
    from airflow.models import Connection as Row  # noqa: PLC0415 - as above
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import delete  # noqa: PLC0415 - as above

    stored: list[str] = []

    def store(conn_id: str, conn_type: str = "oauth2") -> None:
        with create_session() as session:
            session.add(Row(conn_id=conn_id, conn_type=conn_type, extra='{"provider": "slack"}'))  # noqa: AIR311 - the ORM's
        stored.append(conn_id)

    yield store
    with create_session() as session:
        session.execute(delete(Row).where(Row.conn_id.in_(stored)))  # noqa: AIR311 - as above


def read_until(conn_id: str, source: str) -> ConnectionOverview:
    """The connection once a secrets backend has answered: a look does not wait for it."""
    while (found := read()[conn_id]).source != source:
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("conn_type", ["oauth2", "postgres"])
def test_of_one_id_in_several_places_the_one_that_airflow_asks_first_is_shown(
    store: SqlTokenStore,
    set_connection: SetConnection,
    row: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    conn_type: str,
) -> None:
    from airflow.models import Connection as Row  # noqa: PLC0415 - as above

    for name in ("vaulted", "named", "crm"):
        row(name, conn_type if name == "vaulted" else "oauth2")
    set_connection("named", {"conn_type": "oauth2", "extra": {"provider": "xero"}})
    found = read()
    assert (found["named"].source, found["named"].shadowed) == ("environment", ("database",))
    assert found["named"].summary is not None
    assert found["named"].summary.title == "Xero"
    assert (found["crm"].source, found["crm"].shadowed) == ("database", ())
    assert found["vaulted"].source == "database"
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.taskflow.grants.vault.Vault")
    vaulted = read_until("vaulted", "secrets backend")
    assert vaulted.summary is not None
    assert vaulted.summary.title == "Xero"
    assert vaulted.shadowed == (("database",) if conn_type == "oauth2" else ())
    assert read()["crm"].source == "database"
    used = Row.get_connection_from_secrets("vaulted")  # noqa: AIR311 - as above
    assert used.extra_dejson == {"provider": "xero"}


def test_a_connection_in_three_places_names_the_two_that_are_not_used(
    store: SqlTokenStore,
    set_connection: SetConnection,
    row: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row("vaulted")
    set_connection("vaulted", {"conn_type": "oauth2"})
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.taskflow.grants.vault.Vault")
    assert read_until("vaulted", "secrets backend").shadowed == ("environment", "database")


def test_a_variable_of_another_type_shadows_the_stored_connection(
    store: SqlTokenStore, set_connection: SetConnection, row: Callable[..., None]
) -> None:
    row("crm")
    set_connection("crm", "postgres://h/d")
    found = read()["crm"]
    assert (found.source, found.shadowed) == ("environment", ("database",))
    assert (found.health, found.summary) == ("misconfigured", None)


def test_a_connection_of_another_type_is_no_orphan(
    store: SqlTokenStore, row: Callable[..., None]
) -> None:
    grants.put(store, "edited_away")
    row("edited_away", "postgres")
    one = read()["edited_away"]
    assert (one.health, one.source) == ("misconfigured", "database")


def test_a_variable_answers_to_its_id_in_large_and_in_small_letters(
    store: SqlTokenStore, set_connection: SetConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_connection("named", {"conn_type": "oauth2", "extra": {"provider": "xero"}})
    set_connection("erp", {"conn_type": "oauth2"})
    grants.put(store, "ERP")
    grants.put(store, "Named")
    # Airflow looks for variables in large letters only, and for none without a name.
    monkeypatch.setenv("AIRFLOW_CONN_lost", '{"conn_type": "oauth2"}')
    monkeypatch.setenv("AIRFLOW_CONN_", '{"conn_type": "oauth2"}')
    found = read()
    assert found["ERP"].source == found["Named"].source == found["named"].source == "environment"
    assert found["Named"].summary == found["named"].summary
    assert not {"erp", "lost", ""} & found.keys()
    assert {"orphaned", "missing"} & {found[name].health for name in ("ERP", "Named", "named")} == (
        set()
    )


@pytest.mark.parametrize("text", ["{cut", "postgres://h/d", "no connection"])
def test_a_variable_that_is_no_oauth_connection_leaves_no_orphan(
    store: SqlTokenStore, set_connection: SetConnection, text: str
) -> None:
    set_connection("gone", text)
    set_connection("named", text)
    grants.put(store, "gone")
    found = read()
    assert [(found[name].health, found[name].source) for name in ("gone", "named")] == [
        ("misconfigured", "environment")
    ] * 2


def test_a_grant_of_a_teams_variable_is_no_orphan(
    store: SqlTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN__BLUE___GONE", '{"conn_type": "oauth2"}')
    grants.put(store, "gone")
    assert read()["gone"].health == "orphaned"
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    found = read()
    assert (found["gone"].health, found["gone"].source) == ("healthy", "")
    assert "_blue___gone" not in found
