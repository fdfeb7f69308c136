"""New connections: stored as typed, by those who may, and no secret ever comes back."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from oauth_taskflow.presets.load import preset_names
from oauth_taskflow.taskflow.grants.backend_answers import BackendAnswers
from tests.taskflow.page.conftest import SAME_ORIGIN, Browse
from tests.taskflow.page.stored_rows import (
    SECRET,
    SEED,
    edited,
    empty,
    fields_of,
    open_form,
    post,
    put,
    read_audit,
    read_row,
    write_row,
    zendesk,
)

pytestmark = pytest.mark.usefixtures("no_connections")


def test_every_provider_can_be_chosen_and_explains_itself(browse: Browse) -> None:
    client = browse("admin")
    listed = client.get("/oauth/api/presets").json()
    assert {choice["name"] for choice in listed["presets"]} == {*preset_names(), ""}
    assert (listed["may_add"], listed["teams"]) == (True, [None])
    for choice in listed["presets"]:
        answer = client.get("/oauth/api/presets/form", params={"name": choice["name"]}).json()
        assert answer["form"]["title"] == choice["title"]
        assert answer["redirect_uri"].endswith("/oauth/callback")


def test_the_redirect_uri_begins_with_the_address_of_airflow(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://air.example.com/tools")
    answer = browse("admin").get("/oauth/api/presets/form", params={"name": "xero"}).json()
    assert answer["redirect_uri"] == "https://air.example.com/tools/oauth/callback"
    assert answer["redirect_warnings"] == []


@pytest.mark.parametrize("name", ["nobody", "../providers/xero", "x" * 101, "\x00", "ü"])
def test_an_unknown_provider_is_a_clear_error(browse: Browse, name: str) -> None:
    answer = browse("admin").get("/oauth/api/presets/form", params={"name": name})
    assert answer.status_code in {409, 422}
    assert answer.json()["detail"]


def test_a_new_connection_is_stored_as_it_was_typed_and_nothing_more(browse: Browse) -> None:
    answer = post(browse("admin"), "/connections", zendesk({"scope": "read", "audience": ""}))
    assert answer.status_code == 201
    saved = answer.json()
    assert (saved["conn_id"], saved["by_person"], saved["warnings"]) == ("crm", True, [])
    assert 'conn_id="crm"' in saved["decorator"]
    assert 'connection: "crm"' in saved["spec"]
    assert SECRET not in answer.text
    row = read_row("crm")
    assert row is not None
    extra = json.loads(row.pop("extra"))
    assert extra == {
        "provider": "zendesk",
        "grant_type": "authorization_code",
        "subdomain": "acme",
        "scope": "read",
    }
    assert row == {
        "conn_type": "oauth2",
        "description": None,
        "host": None,
        "schema": None,
        "login": "client",
        "password": SECRET,
        "port": None,
    }


def test_the_lines_to_paste_are_a_dag(browse: Browse) -> None:
    saved = post(browse("admin"), "/connections", zendesk()).json()
    names: dict[str, Any] = {}
    exec(saved["decorator"], names)
    dag = names["pull_crm"]()
    assert (dag.dag_id, dag.task_ids) == ("pull_crm", ["pull"])


def test_what_is_stored_is_encrypted_and_audited_without_secrets(browse: Browse) -> None:
    from airflow.models.connection import Connection  # noqa: PLC0415 - Airflow needs its home first
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above

    typed = {"refresh_token": SEED}
    assert post(browse("admin"), "/connections", zendesk(typed)).status_code == 201
    with create_session() as session:
        (row,) = session.query(Connection).filter_by(conn_id="crm").all()
        assert SECRET not in (row._password or "")
        assert SEED not in (row._extra or "")
    ((event, owner, facts),) = read_audit()
    assert (event, owner) == ("oauth_connection_added", "admin")
    assert facts == {"connection_id": "crm", "provider": "zendesk", "outcome": "done"}


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        (zendesk(conn_id="a b"), 422, {"conn_id"}),
        (zendesk(conn_id=""), 422, {"conn_id"}),
        (zendesk({"subdomain": "acme/evil"}), 422, {"subdomain"}),
        (zendesk({"password": "***"}), 422, {"password"}),
        (zendesk({"\ud800": "x"}), 422, None),
        (zendesk({"x\ud800y": "x"}), 422, None),
        (zendesk({"login": "x\ud800y"}), 422, {"login"}),
        (zendesk({"password": "a\x00b"}), 422, {"password"}),
        (zendesk({"token_params": {"a": 1e999}}), 400, None),
        (zendesk({"scope": SECRET * 4000}), 422, {"extra"}),
        (zendesk({"wat": SECRET}), 422, {"wat"}),
        (zendesk(provider="nobody"), 422, {"provider"}),
        (zendesk(way="nowhere"), 422, {"way"}),
        (zendesk(provider="x" * 101), 422, None),
        (zendesk(conn_id="x" * 300), 422, None),
        (zendesk(team_name="blue"), 422, {"team_name"}),
        (zendesk(more=1), 422, None),
        ({}, 422, None),
        ([], 422, None),
        ("text", 422, None),
        (None, 422, None),
        ({**zendesk(), "values": [1]}, 422, None),
        (zendesk(conn_id=["crm"]), 422, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_hostile_and_wrong_bodies_are_refused_by_key_without_their_values(
    browse: Browse, body: Any, status: int, fields: set[str] | None
) -> None:
    client = browse("admin")
    text = json.dumps(body)
    answer = client.post("/oauth/api/connections", content=text, headers=SAME_ORIGIN)
    assert answer.status_code in {status, 422}, answer.text
    assert answer.json()["detail"]
    assert SECRET not in answer.text
    if fields is not None:
        assert fields_of(answer) == fields
    assert read_row("crm") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        '{"conn_id": "crm", "values": ' + "[" * 100_000,
        '{"conn_id": "crm", "provider": "zendesk", "values": {"token_params": '
        + '{"a":' * 400
        + "1"
        + "}" * 400
        + "}}",
        '{"conn_id": "crm", "values": {"a": ' + "9" * 5000 + "}}",
        "\ufeff{}",
        b"\xff\xfe",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_bodies_that_are_no_plain_json_are_refused(browse: Browse, text: str | bytes) -> None:
    answer = browse("admin").post("/oauth/api/connections", content=text, headers=SAME_ORIGIN)
    assert 400 <= answer.status_code < 500
    assert answer.json()["detail"]


def test_a_name_is_taken_once_even_by_two_requests_at_a_time(browse: Browse) -> None:
    client = browse("admin")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(client, "/connections", zendesk()), range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    (refused, *_) = [answer for answer in answers if answer.status_code == 409]
    assert fields_of(refused) == {"conn_id"}


@pytest.mark.parametrize(("name", "status"), [("", 401), ("viewer", 403), ("user", 403)])
def test_only_those_who_may_change_connections_reach_any_of_it(
    browse: Browse, name: str, status: int
) -> None:
    write_row("crm", {"provider": "zendesk", "subdomain": "acme"}, login="client", password=SECRET)
    client = browse(name)
    answers = [
        client.get("/oauth/api/presets"),
        client.get("/oauth/api/presets/form"),
        post(client, "/connections", zendesk(conn_id="other")),
        post(client, "/connections/crm/form", {}),
        put(client, {**zendesk(), "revision": "", "conn_id": "crm"}),
    ]
    assert [answer.status_code for answer in answers] == [status] * 5
    assert read_row("other") is None


def test_a_variable_that_wins_over_the_new_connection_is_named(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM", "http://elsewhere.example")
    saved = post(browse("admin"), "/connections", zendesk()).json()
    assert "AIRFLOW_CONN_CRM" in saved["warnings"][0]


def test_a_secrets_backend_that_wins_over_the_new_connection_is_named(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_taskflow.taskflow.page import connection_store  # noqa: PLC0415 - see above

    monkeypatch.setattr(connection_store, "_WAIT", 120.0)  # a busy machine starts threads late
    monkeypatch.setattr(connection_store, "BACKENDS", BackendAnswers())
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "tests.taskflow.grants.vault.Vault")
    saved = post(browse("admin"), "/connections", zendesk(conn_id="vaulted")).json()
    said = "A secrets backend has a connection of this name, and Airflow prefers it to this connection."
    assert saved["warnings"] == [said]


def test_in_a_deployment_with_teams_a_connection_belongs_to_one(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.connection import Connection  # noqa: PLC0415 - see above
    from airflow.models.team import Team  # noqa: PLC0415 - see above
    from airflow.utils.session import create_session  # noqa: PLC0415 - see above
    from sqlalchemy import delete  # noqa: PLC0415 - see above

    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    with create_session() as session:
        session.add(Team(name="blue"))
    try:
        client = browse("admin")
        assert client.get("/oauth/api/presets").json()["teams"] == [None, "blue"]
        assert post(client, "/connections", zendesk(team_name="red")).status_code == 400
        assert post(client, "/connections", zendesk(team_name=7)).status_code in {400, 422}
        assert post(client, "/connections", zendesk(team_name="blue")).status_code == 201
        form = open_form(client)
        assert form["team_name"] == "blue"
        assert put(client, edited(form, {"scope": "read"}, team_name="blue")).status_code == 200
        assert Connection.get_team_name("crm") == "blue"
        assert browse("viewer").get("/oauth/api/presets").status_code == 403
    finally:
        empty()
        with create_session() as session:
            session.execute(delete(Team))
