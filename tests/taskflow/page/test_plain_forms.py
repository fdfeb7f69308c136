"""New and Edit as HTML forms: the same drafts, permissions and secrets as by JSON, and no post from elsewhere."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from tests.taskflow.page.conftest import SAME_ORIGIN_FORM, Browse
from tests.taskflow.page.stored_rows import SECRET, SEED, read_audit, read_row, write_row

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = pytest.mark.usefixtures("no_connections")
NEW = "/oauth/new/zendesk"
EDIT = "/oauth/edit/crm"
TYPED = {"conn_id": "crm", "value.subdomain": "acme", "value.login": "client"}


def hidden_fields(text: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', text)
    return {name: unescape(value) for name, value in found}


def shown_fields(text: str) -> dict[str, str]:
    """The fields that a browser would post of the inputs with a text."""
    found = re.findall(
        r'<input id="[^"]*" name="([^"]*)"(?: type="text")?[^>]*? value="([^"]*)"', text
    )
    return {name: unescape(value) for name, value in found}


def open_form(client: TestClient, path: str) -> dict[str, str]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert SECRET not in answer.text
    assert SEED not in answer.text
    return {**shown_fields(answer.text), **hidden_fields(answer.text)}


def post(client: TestClient, path: str, fields: dict[str, str], **headers: str) -> Any:
    given = {**SAME_ORIGIN_FORM, "Accept": "text/html", **headers}
    return client.post(path, data=fields, headers=given, follow_redirects=False)


def store_zendesk(**extra: Any) -> None:
    keys = {"provider": "zendesk", "subdomain": "acme", **extra}
    write_row("crm", keys, login="client", password=SECRET)


def test_a_new_connection_is_stored_as_by_json_and_leads_to_what_comes_next(
    admin: TestClient,
) -> None:
    form = open_form(admin, NEW)
    answer = post(admin, NEW, {**form, **TYPED, "value.password": SECRET, "value.scope": "read"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/oauth/saved/crm")
    row = read_row("crm")
    assert row is not None
    assert (row["login"], row["password"], row["host"]) == ("client", SECRET, None)
    typed = {"subdomain": "acme", "scope": "read"}
    chosen = {"provider": "zendesk", "grant_type": "authorization_code"}
    assert json.loads(row["extra"]) == {**chosen, **typed}
    assert [(event, owner) for event, owner, _ in read_audit()] == [
        ("oauth_connection_added", "admin")
    ]
    saved = admin.get("/oauth/saved/crm").text
    assert 'href="/oauth/connect/crm"' in saved
    assert "@oauth_task(conn_id=&#34;crm&#34;)" in saved
    assert SECRET not in saved


@pytest.mark.parametrize("conn_id", [".", ".."])
def test_an_id_that_no_address_can_hold_is_refused(admin: TestClient, conn_id: str) -> None:
    form = open_form(admin, NEW)
    answer = post(admin, NEW, {**form, **TYPED, "value.password": SECRET, "conn_id": conn_id})
    assert answer.status_code == 422
    assert "more than . or .. alone" in answer.text


def test_problems_are_shown_at_their_fields_and_secrets_do_not_come_back(
    admin: TestClient,
) -> None:
    form = open_form(admin, NEW)
    typed = {**form, **TYPED, "value.password": SECRET, "value.scope": '"><b>read'}
    answer = post(admin, NEW, {**typed, "conn_id": "c r m"})
    assert answer.status_code == 422
    assert SECRET not in answer.text
    assert "This cannot be the name of a connection" in answer.text
    answer = post(admin, NEW, {**typed, "value.subdomain": ""})
    assert answer.status_code == 422
    assert SECRET not in answer.text
    assert '<p role="alert" id="value-subdomain-problem">' in answer.text
    assert read_row("crm") is None
    assert "<b>read" not in answer.text
    kept = shown_fields(answer.text)
    assert (kept["value.login"], kept["value.scope"]) == ("client", '"><b>read')


def test_an_edit_keeps_what_is_stored_and_changes_what_was_typed(admin: TestClient) -> None:
    store_zendesk(scope="read", refresh_token=SEED, api_params={"a": 1})
    form = open_form(admin, EDIT)
    assert form["value.scope"] == "read"
    answer = post(
        admin, EDIT, {**form, "value.scope": "read write", "value.api_params": '{"a": 1}'}
    )
    assert answer.status_code == 303
    row = read_row("crm")
    assert row is not None
    assert row["password"] == SECRET
    assert json.loads(row["extra"]) == {
        "provider": "zendesk",
        "subdomain": "acme",
        "scope": "read write",
        "refresh_token": SEED,
        "api_params": {"a": 1},
    }


def test_a_stored_secret_is_replaced_or_removed_on_demand_only(admin: TestClient) -> None:
    store_zendesk(refresh_token=SEED)
    form = open_form(admin, EDIT)
    asked = {**form, "value.password": "another-s3cret", "drop.refresh_token": "on"}
    assert post(admin, EDIT, asked).status_code == 303
    row = read_row("crm")
    assert row is not None
    assert row["password"] == "another-s3cret"
    assert "refresh_token" not in json.loads(row["extra"])


def test_a_changed_address_asks_for_the_secret_again(admin: TestClient) -> None:
    store_zendesk()
    form = open_form(admin, EDIT)
    answer = post(admin, EDIT, {**form, "value.subdomain": "evil"})
    assert answer.status_code == 422
    assert "a stored secret goes only where it went before" in answer.text
    again = {**form, "value.subdomain": "evil", "value.password": SECRET}
    assert post(admin, EDIT, again).status_code == 303


def test_a_connection_that_changed_meanwhile_is_not_overwritten(admin: TestClient) -> None:
    store_zendesk()
    old = open_form(admin, EDIT)
    assert post(admin, EDIT, {**old, "value.scope": "read"}).status_code == 303
    answer = post(admin, EDIT, {**old, "value.scope": "write"})
    assert answer.status_code == 409
    assert "changed this connection in the meantime" in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": None, "Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": None, "Origin": "null"}, 403),
        ({"Sec-Fetch-Site": None}, 403),
        ({"Sec-Fetch-Site": None, "Authorization": "Bearer x"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Sec-Fetch-Site": None, "Origin": "http://airflow.test"}, 303),
    ],
)
def test_a_form_is_taken_from_this_origin_alone(
    admin: TestClient, headers: dict[str, str | None], status: int
) -> None:
    form = open_form(admin, NEW)
    given = {name: v for name, v in {**SAME_ORIGIN_FORM, **headers}.items() if v is not None}
    fields = {**form, **TYPED, "value.password": SECRET}
    answer = admin.post(NEW, data=fields, headers=given, follow_redirects=False)
    assert answer.status_code == status
    assert (read_row("crm") is None) == (status != 303)


def test_a_form_needs_its_own_token_of_the_same_user(browse: Browse) -> None:
    admin = browse("admin")
    form = {**open_form(admin, NEW), **TYPED, "value.password": SECRET}
    other = open_form(admin, "/oauth/new/xero")["form_token"]
    issued, signature = form["form_token"].split(".")
    old = f"{int(issued) - 1}.{signature}"
    for token in ("", other, old, "x", f"{issued}.", f"{issued}.ü"):
        answer = post(admin, NEW, {**form, "form_token": token})
        assert answer.status_code == 403, token
        assert "This form is not valid any more" in answer.text
        assert 'value="acme"' not in answer.text  # who posts here may come from elsewhere
    assert read_row("crm") is None


def test_a_token_ends_after_twelve_hours(
    admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_taskflow.clock import SystemClock  # noqa: PLC0415 - next to Airflow's home
    from oauth_taskflow.taskflow.page import form_posts  # noqa: PLC0415 - as above

    class Later(SystemClock):
        def now(self) -> float:
            return super().now() + 12 * 3600 + 1

    form = {**open_form(admin, NEW), **TYPED, "value.password": SECRET}
    monkeypatch.setattr(form_posts, "SYSTEM_CLOCK", Later())
    assert post(admin, NEW, form).status_code == 403


@pytest.mark.parametrize(("name", "status"), [("", 401), ("viewer", 403)])
def test_forms_are_for_those_who_may(browse: Browse, name: str, status: int) -> None:
    store_zendesk()
    form = {**open_form(browse("admin"), EDIT), "value.scope": "all"}
    client = browse(name)
    assert client.get(EDIT, headers={"Accept": "*/*"}).status_code == status
    assert client.get("/oauth/new", headers={"Accept": "*/*"}).status_code == status
    assert post(client, EDIT, form).status_code == status
    assert post(client, NEW, {**TYPED, "value.password": SECRET}).status_code == status
    row = read_row("crm")
    assert row is not None
    assert "scope" not in json.loads(row["extra"])


def test_with_teams_the_form_asks_for_the_permission_of_the_team(
    admin: TestClient, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    form = {**open_form(admin, NEW), **TYPED, "value.password": SECRET}
    answer = post(admin, NEW, {**form, "team_name": "not_mine"})
    assert answer.status_code == 403
    assert post(admin, NEW, form).status_code == 303
    assert post(browse("viewer"), EDIT, {}).status_code == 403


def test_providers_are_found_by_name(admin: TestClient) -> None:
    text = admin.get("/oauth/new", params={"q": "zend"}).text
    assert re.findall(r'href="/oauth/new/([^"]*)"', text) == ["zendesk", "zendesk-sell", "-"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/oauth/new/nobody", 409), ("/oauth/edit/nothing", 404), ("/oauth/saved/nothing", 404)],
)
def test_what_is_not_there_is_a_page_that_says_so(
    admin: TestClient, path: str, status: int
) -> None:
    answer = admin.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert '<div role="alert">' in answer.text


@pytest.mark.parametrize("body", [b"\xff\xfe=1", b"a=1&" * 600])
def test_a_body_that_is_no_form_is_refused(admin: TestClient, body: bytes) -> None:
    answer = admin.post(NEW, content=body, headers=SAME_ORIGIN_FORM)
    assert answer.status_code == 422
