"""Connect by authorization code: what is refused, and what the person reads then."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import Connect
from tests.taskflow.page.conftest import SAME_ORIGIN, Browse
from tests.taskflow.page.consents import (
    agree,
    begin,
    come_back,
    finish,
    post,
    read_ticket,
)

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("own_store", "at_loopback")]


def test_a_refusal_of_the_person_is_told_with_what_to_do(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect()
    oauth_server.desk.decision = "refuse"
    answer = finish(admin, come_back(admin, agree(begin(admin))))
    assert answer.status_code == 409
    assert "refused (access_denied)" in answer.json()["detail"]
    assert answer.json()["hint"] == "Start the login again with Connect"
    assert oauth_server.counters.token_requests == 0


def test_a_consent_is_finished_once(connect: Connect, admin: TestClient) -> None:
    connect()
    query = agree(begin(admin))
    place = come_back(admin, query)
    assert come_back(admin, query) == "/oauth/consent/repeated"
    assert finish(admin, place).status_code == 200
    again = finish(admin, place)
    assert again.status_code == 409
    assert "This consent is over" in again.json()["detail"]
    assert come_back(admin, query) == "/oauth/consent/unknown"


def test_another_user_gets_nothing_and_ends_the_consent(
    connect: Connect, admin: TestClient, browse: Browse, oauth_server: OAuthTestServer
) -> None:
    connect()
    other = browse("op")
    place = come_back(other, agree(begin(admin)))
    refused = finish(other, place)
    assert refused.status_code == 409
    assert "Another user of Airflow began this consent" in refused.json()["detail"]
    assert "This consent is over" in finish(admin, place).json()["detail"]
    assert oauth_server.counters.token_requests == 0


def test_a_user_without_permission_on_the_connection_cannot_finish(
    connect: Connect, admin: TestClient, browse: Browse
) -> None:
    connect()
    place = come_back(admin, agree(begin(admin)))
    for name, status in (("viewer", 403), ("", 401)):
        assert finish(browse(name), place).status_code == status
    assert finish(admin, place).status_code == 200


def test_a_ticket_of_one_connection_is_none_of_another(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect()
    ticket = read_ticket(come_back(admin, agree(begin(admin))))
    answer = post(admin, "/finish", conn_id="erp", ticket=ticket)
    assert "This consent is over" in answer.json()["detail"]
    assert oauth_server.counters.token_requests == 0


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("code=abc", "malformed"),
        ("", "malformed"),
        ("code=abc&state=a&state=b", "malformed"),
        ("&".join(f"p{number}=1" for number in range(60)), "malformed"),
        (f"state={'s' * 43}&code={'c' * 17_000}", "malformed"),
        ("code=abc&state=short", "unknown"),
        ("code=abc&state=" + "x" * 43, "unknown"),
        ("code=%FF%00&state=%00" + "x" * 42, "unknown"),
    ],
)
def test_an_answer_to_no_consent_leads_to_a_page_that_says_what_to_do(
    admin: TestClient, browse: Browse, query: str, problem: str
) -> None:
    place = come_back(browse(), query)
    assert place == f"/oauth/consent/{problem}"
    page = admin.get(place)
    assert page.status_code == 400
    assert "tart again with Connect" in page.text
    assert "abc" not in page.text


def test_a_changed_state_leads_nowhere(connect: Connect, admin: TestClient) -> None:
    connect()
    query = agree(begin(admin))
    state = parse_qs(query)["state"][0]
    wrong = state[:-1] + ("A" if state[-1] != "A" else "B")
    assert come_back(admin, query.replace(state, wrong)) == "/oauth/consent/unknown"
    assert finish(admin, come_back(admin, query)).status_code == 200


def test_an_answer_without_a_code_is_told(connect: Connect, admin: TestClient) -> None:
    connect()
    state = parse_qs(urlsplit(begin(admin)).query)["state"][0]
    answer = finish(admin, come_back(admin, {"state": state}))
    assert answer.json()["detail"] == "The answer holds neither a code nor an error"


def test_an_answer_of_another_issuer_is_refused_before_its_code_is_sent(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect(issuer=oauth_server.base_url)
    oauth_server.desk.issuer = "https://evil.example"
    oauth_server.clear_log()
    answer = finish(admin, come_back(admin, agree(begin(admin))))
    assert "comes from another authorization server" in answer.json()["detail"]
    assert oauth_server.counters.token_requests == 0


def test_a_parameter_that_comes_twice_is_refused(connect: Connect, admin: TestClient) -> None:
    connect()
    query = agree(begin(admin))
    answer = finish(admin, come_back(admin, f"{query}&code=another"))
    assert answer.json()["detail"] == "The answer repeats a parameter (RFC 6749 §3.1)"


@pytest.mark.parametrize(
    "edited",
    [
        {"token_url": "https://evil.example/token"},
        {"host": "https://evil.example"},
        {"allowed_origins": ["https://evil.example"]},
        {"revoke_url": "https://evil.example/revoke"},
    ],
    ids=str,
)
def test_an_edited_connection_gets_no_code(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer, edited: dict[str, Any]
) -> None:
    connect()
    place = come_back(admin, agree(begin(admin)))
    connect(**edited)
    answer = finish(admin, place)
    assert "The connection was edited while the consent was under way" in answer.json()["detail"]
    assert oauth_server.counters.token_requests == 0


def test_an_old_consent_is_over(
    connect: Connect, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_taskflow.consents import sql  # noqa: PLC0415 - next to what it changes

    connect()
    query = agree(begin(admin))
    monkeypatch.setattr(sql, "ANSWER_LIFETIME", -1.0)
    place = come_back(admin, query)
    assert "This consent is over" in finish(admin, place).json()["detail"]


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/dags/../../x",
        "/a\nb",
        "dags",
        "/" + "a" * 3000,
    ],
)
def test_a_person_is_sent_back_to_this_airflow_only(
    connect: Connect, admin: TestClient, return_to: str
) -> None:
    connect()
    assert post(admin, way="browser", return_to=return_to).status_code == 422


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"grant_type": "client_credentials"}, "which needs no consent of a person"),
        ({"authorize_url": "http://id.example/a"}, "not an https URL"),
    ],
)
def test_a_connection_that_cannot_be_connected_says_why(
    connect: Connect, admin: TestClient, wrong: dict[str, Any], reason: str
) -> None:
    connect(**wrong)
    for answer in (post(admin, "/offer"), post(admin, way="browser")):
        assert answer.status_code == 409
        assert reason in answer.json()["detail"]


def test_an_answer_is_not_lost_in_silence_when_the_store_fails(
    connect: Connect, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    query = agree(begin(admin))
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", "sqlite:////proc/none/tokens.db")
    assert come_back(admin, query) == "/oauth/consent/failed"
    assert "the token store failed" in admin.get("/oauth/consent/failed").text


@pytest.mark.parametrize("ticket", ["", "x" * 42, "x" * 43, "x" * 5000, "../" * 14 + "a", None, 5])
def test_a_wrong_ticket_is_refused(connect: Connect, admin: TestClient, ticket: Any) -> None:
    connect()
    answer = post(admin, "/finish", ticket=ticket)
    assert answer.status_code in {409, 422}
    assert str(ticket or secrets.token_hex()) not in answer.text


@pytest.mark.parametrize("size", [20_000, 2_000_000])
def test_a_posted_answer_without_end_is_not_read_to_its_end(browse: Browse, size: int) -> None:
    answer = browse().post(
        "/oauth/callback",
        content=(b"x" * 1000 for _ in range(size // 1000)),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        follow_redirects=False,
    )
    assert answer.headers["location"] == "/oauth/consent/malformed"


def test_the_host_header_of_a_callback_leads_nowhere_else(browse: Browse) -> None:
    answer = browse().get(
        "/oauth/callback?state=x", headers={"Host": "evil.example"}, follow_redirects=False
    )
    assert answer.headers["location"] == "/oauth/consent/unknown"


def test_an_unknown_problem_is_no_page(admin: TestClient) -> None:
    assert admin.get("/oauth/consent/<script>").status_code == 422
    assert "<script>" not in admin.get("/oauth/consent/<script>").text


def test_a_hostile_name_of_a_connection_is_shown_as_text(admin: TestClient) -> None:
    page = admin.get("/oauth/connect/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert "<script>alert" not in page.text


@pytest.mark.parametrize(
    "body", ["", "[]", "null", '{"way": "other"}', '{"way": "browser", "more": 1}', '{"way": 1']
)
def test_a_wrong_wish_begins_nothing(connect: Connect, admin: TestClient, body: str) -> None:
    connect()
    address = "/oauth/api/connections/crm/consent"
    answer = admin.post(address, content=body, headers=SAME_ORIGIN)
    assert answer.status_code == 422


def test_a_begin_from_another_site_is_refused(connect: Connect, admin: TestClient) -> None:
    connect()
    address = "/oauth/api/connections/crm/consent"
    for headers in ({**SAME_ORIGIN, "Sec-Fetch-Site": "cross-site"}, {"Origin": "https://a.test"}):
        answer = admin.post(address, json={"way": "browser"}, headers=headers)
        assert answer.status_code == 403


def test_a_connection_with_a_strange_name_is_connected(
    admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    from airflow.models import Connection  # noqa: PLC0415 - Airflow needs its home first
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import delete  # noqa: PLC0415 - as above

    name = "team-a#crm(1):x.y"
    known = oauth_server.connection(
        grant_type="authorization_code", authorize_url=f"{oauth_server.base_url}/oauth/authorize"
    )
    fields = {**known, "extra": json.dumps(known["extra"])}
    with create_session() as session:
        session.add(Connection(conn_id=name, **fields))  # noqa: AIR311 - the stored row
    coded = quote(name, safe="")
    url = post(admin, conn_id=coded, way="browser").json()["authorization_url"]
    place = come_back(admin, agree(url))
    assert place.startswith(f"/oauth/consent#{coded}/")
    answer = post(admin, "/finish", conn_id=coded, ticket=place.rpartition("/")[2])
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id == name))  # noqa: AIR311 - as above
    assert answer.json()["conn_id"] == name
