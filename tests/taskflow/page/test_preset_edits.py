"""Edited connections: secrets stay on the server, and only while no address changes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.page.conftest import Browse
from tests.taskflow.page.consents import leave_kept_consent
from tests.taskflow.page.stored_rows import (
    SECRET,
    SEED,
    Row,
    edited,
    fields_of,
    open_form,
    post,
    put,
    read_audit,
    read_row,
    write_row,
)

pytestmark = pytest.mark.usefixtures("no_connections")


def test_an_edit_shows_no_secret_and_keeps_what_is_not_typed(browse: Browse) -> None:
    client = browse("admin")
    extra = {"provider": "zendesk", "subdomain": "acme", "refresh_token": SEED, "scope": "read"}
    write_row("crm", extra, login="client", password=SECRET, description="The shop")
    form = open_form(client)
    assert form["stored"]["values"] == {"login": "client", "subdomain": "acme", "scope": "read"}
    assert set(form["stored"]["hidden"]) == {"password", "refresh_token"}
    answer = put(client, edited(form, {"scope": "read write"}))
    assert answer.status_code == 200
    assert SECRET not in answer.text
    row = read_row("crm")
    assert row is not None
    assert json.loads(row["extra"]) == {**extra, "scope": "read write"}
    assert (row["password"], row["description"]) == (SECRET, "The shop")
    assert [event for event, *_ in read_audit()] == ["oauth_connection_edited"]


@pytest.mark.parametrize(
    "values",
    [
        {"host": "https://evil.example"},
        {"subdomain": "evil"},
        {"token_url": "https://evil.example/token"},
        {"allowed_origins": "https://evil.example"},
    ],
    ids=str,
)
def test_another_address_asks_for_the_secret_again(browse: Browse, values: Row) -> None:
    client = browse("admin")
    write_row("crm", {"provider": "zendesk", "subdomain": "acme"}, login="client", password=SECRET)
    before = read_row("crm")
    answer = put(client, edited(open_form(client), values))
    assert (answer.status_code, fields_of(answer)) == (422, {"password"})
    assert "goes only where it went before" in answer.json()["problems"][0]["what"]
    masked = put(client, edited(open_form(client), {**values, "password": "***"}))
    assert (masked.status_code, fields_of(masked)) == (422, {"password"})
    assert read_row("crm") == before
    typed = {**values, "password": "another-secret"}
    assert put(client, edited(open_form(client), typed)).status_code == 200
    row = read_row("crm")
    assert row is not None
    assert row["password"] == "another-secret"
    (_, _, facts) = read_audit()[-1]
    assert facts["changed_addresses"] == [*values]


def test_an_edit_of_what_somebody_else_changed_is_refused(browse: Browse) -> None:
    client = browse("admin")
    write_row("crm", {"provider": "zendesk", "subdomain": "acme"}, login="client", password=SECRET)
    mine, theirs = open_form(client), open_form(client)
    assert put(client, edited(theirs, {"scope": "read"})).status_code == 200
    answer = put(client, edited(mine, {"scope": "write"}))
    assert answer.status_code == 409
    assert "Another user changed" in answer.json()["detail"]
    for revision in ("", "0" * 64, "ü"):
        refused = put(client, edited(open_form(client), revision=revision))
        assert refused.status_code == 409


def test_stored_grants_do_not_follow_to_another_address(browse: Browse) -> None:
    from oauth_taskflow.taskflow.http.hook import OAuth2Hook  # noqa: PLC0415 - see above

    with OAuthTestServer(rotate=True) as server:
        connection = server.connection(refresh_token=server.issue_refresh_token())
        extra = {**connection.pop("extra"), "provider": ""}
        write_row("crm", extra, **connection)
        with OAuth2Hook(http_conn_id="crm").get_conn() as session:
            session.get("/me")
        client = browse("admin")
        typed = {
            "host": "https://evil.example",
            "password": "another-secret",
            "refresh_token": "x-seed",
        }
        answer = put(client, edited(open_form(client), typed))
        assert (answer.status_code, fields_of(answer)) == (409, {"forget_grants"})
        assert stored_grants() == 1
        assert put(client, edited(open_form(client), {"description": "Mine"})).status_code == 422
        kept = edited(open_form(client), description="Mine")
        assert put(client, kept).status_code == 200
        assert stored_grants() == 1
        confirmed = edited(open_form(client), typed, forget_grants=True)
        assert put(client, confirmed).status_code == 200
        assert stored_grants() == 0


def test_a_consent_that_waits_in_a_file_does_not_follow_to_another_address_either(
    browse: Browse,
) -> None:
    with OAuthTestServer() as server:
        connection = server.connection_to_authorize()
        write_row("crm", connection.pop("extra"), **connection)
        leave_kept_consent()
        client = browse("admin")
        typed = {"host": "https://evil.example", "password": "another-secret"}
        answer = put(client, edited(open_form(client), typed))
        assert (answer.status_code, fields_of(answer)) == (409, {"forget_grants"})
        assert waiting_consents() == 1
        confirmed = edited(open_form(client), typed, forget_grants=True)
        assert put(client, confirmed).status_code == 200
        assert waiting_consents() == 0


def waiting_consents() -> int:
    from oauth_taskflow.taskflow.config import fernet_keys, store_url  # noqa: PLC0415 - see above
    from oauth_taskflow.tokens.registry import open_store  # noqa: PLC0415 - see above

    return len(open_store(store_url(), fernet_keys()).recovery.list_consents())


def stored_grants() -> int:
    from oauth_taskflow.taskflow.config import fernet_keys, store_url  # noqa: PLC0415 - see above
    from oauth_taskflow.tokens.registry import open_store  # noqa: PLC0415 - see above

    return len(open_store(store_url(), fernet_keys()).list_grants())


def test_connections_that_are_not_stored_or_not_ours_are_not_edited(browse: Browse) -> None:
    client = browse("admin")
    answer = post(client, "/connections/nobody/form", {})
    assert answer.status_code == 404
    assert "secrets backend" in answer.json()["detail"]
    write_row("pg", {}, conn_type="postgres", password=SECRET)
    answer = post(client, "/connections/pg/form", {})
    assert answer.status_code == 409
    assert SECRET not in answer.text
    body = {"provider": "zendesk", "values": {}, "unchanged": ["password"], "revision": "x"}
    assert put(client, body, "pg").status_code == 409
    assert put(client, body, "nobody").status_code == 404


def test_a_name_that_the_form_would_not_accept_today_can_be_edited(browse: Browse) -> None:
    client = browse("admin")
    write_row(
        "shop/eu(1)", {"provider": "zendesk", "subdomain": "acme"}, login="me", password=SECRET
    )
    form = open_form(client, "shop/eu(1)")
    assert put(client, edited(form, {"scope": "read"}), "shop/eu(1)").status_code == 200
    row = read_row("shop/eu(1)")
    assert row is not None
    assert json.loads(row["extra"])["scope"] == "read"


def test_of_several_edits_at_a_time_one_is_stored(browse: Browse) -> None:
    client = browse("admin")
    write_row("crm", {"provider": "zendesk", "subdomain": "acme"}, login="client", password=SECRET)
    form = open_form(client)
    bodies = [edited(form, {"scope": str(number)}) for number in range(4)]
    bodies[0] = edited(form, {"host": "https://other.example", "password": "another-secret"})
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda body: put(client, body), bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    row = read_row("crm")
    assert row is not None
    assert (row["host"], row["password"]) in {
        (None, SECRET),
        ("https://other.example", "another-secret"),
    }
