"""Connect by authorization code: what each step gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.cli.login_runs import call_api
from tests.taskflow.conftest import Connect
from tests.taskflow.page.conftest import Browse
from tests.taskflow.page.consents import (
    CALLBACK,
    ORIGIN,
    agree,
    agree_by_form,
    begin,
    come_back,
    finish,
    post,
    read_ticket,
)

if TYPE_CHECKING:
    from starlette.testclient import TestClient

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("own_store", "at_loopback")]


def test_a_person_connects_and_tasks_have_a_grant(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect()
    place = come_back(admin, agree(begin(admin, return_to="/dags/pull")))
    answer = finish(admin, place)
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert (result["conn_id"], result["grant"]["state"]) == ("crm", "fresh")
    assert result["trial"]["ok"] is True
    assert result["trial"]["text"].startswith("The API answered: HTTP ")
    assert result["return_to"] == "/dags/pull"
    assert "Connection 'crm' is authorized." in result["notes"]
    assert call_api() == 200
    assert oauth_server.counters.token_requests == 1


def test_the_request_has_pkce_a_state_and_the_redirect_uri_that_was_shown(
    connect: Connect, admin: TestClient
) -> None:
    connect()
    offer = post(admin, "/offer").json()
    assert offer["redirect_uri"] == CALLBACK
    assert (offer["no_browser"], offer["no_device"]) == ("", "")
    assert (offer["provider"], offer["place"]) == ("", "127.0.0.1")
    sent = parse_qs(urlsplit(begin(admin)).query)
    assert sent["redirect_uri"] == [CALLBACK]
    assert sent["code_challenge_method"] == ["S256"]
    assert len(sent["state"][0]) == 43


def test_the_provider_of_a_preset_is_named_by_its_title(
    connect: Connect, admin: TestClient
) -> None:
    connect(provider="xero")
    assert post(admin, "/offer").json()["provider"] == "Xero"


def test_a_pushed_request_is_traded_by_another_process(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    oauth_server.desk.par_required = True
    connect(par_url=f"{oauth_server.base_url}/oauth/par")
    url = begin(admin)
    assert sorted(parse_qs(urlsplit(url).query)) == ["client_id", "request_uri"]
    assert finish(admin, come_back(admin, agree(url))).status_code == 200


def test_the_dpop_key_of_the_request_is_that_of_the_trade_and_of_the_calls(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    oauth_server.dpop.required, oauth_server.dpop.nonces = True, 1
    connect(dpop=True)
    url = begin(admin)
    assert len(parse_qs(urlsplit(url).query)["dpop_jkt"][0]) == 43
    # The server binds the code to that key, and the token to the key of the trade.
    assert finish(admin, come_back(admin, agree(url))).json()["grant"]["state"] == "fresh"
    assert call_api() == 200


def test_an_answer_by_form_post_is_parked_without_a_cookie(
    connect: Connect, admin: TestClient, browse: Browse
) -> None:
    connect(authorize_params={"response_mode": "form_post"})
    form = agree_by_form(begin(admin))
    answer = browse().post(
        "/oauth/callback",
        data=form,
        headers={"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        follow_redirects=False,
    )
    assert answer.status_code == 303
    assert finish(admin, answer.headers["location"]).status_code == 200


@pytest.mark.parametrize("path", ["/oauth/callback", "/oauth/callback/"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_code_and_state_are_gone_from_the_address_and_from_the_scope(
    root_app: Any, method: str, path: str
) -> None:
    from starlette.testclient import TestClient as Client  # noqa: PLC0415 - as the fixtures do

    if (method, path) == ("HEAD", "/oauth/callback/"):
        pytest.skip("answered with 405 without a redirect")
    scopes: list[Any] = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        await root_app(scope, receive, send)
        scopes.append(scope)

    state, code = "s" * 43, "the-code"
    with Client(watched, base_url="http://airflow.test") as client:
        answer = client.request(method, f"{path}?code={code}&state={state}", follow_redirects=False)
    asked = [scope for scope in scopes if scope["type"] == "http"]
    assert [scope["query_string"] for scope in asked] == [b""]
    assert state not in str(answer.headers)
    assert code not in str(answer.headers)


def test_below_a_path_everything_begins_with_it(
    connect: Connect, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"{ORIGIN}/tools/")
    connect()
    assert post(admin, "/offer").json()["redirect_uri"] == f"{ORIGIN}/tools/oauth/callback"
    assert post(admin, way="browser", return_to="/dags/x").status_code == 422
    assert post(admin, way="browser", return_to="/tools/dags/x").status_code == 200
    place = come_back(admin, "state=x")
    assert place == "/tools/oauth/consent/unknown"


def test_a_redirect_uri_of_the_connection_counts_if_it_leads_here(
    connect: Connect, admin: TestClient
) -> None:
    for registered, used in (
        ("http://127.0.0.1:8765/callback", CALLBACK),
        ("https://hooks.example.com/a/oauth/callback",) * 2,
    ):
        connect(redirect_uri=registered)
        assert post(admin, "/offer").json()["redirect_uri"] == used
        assert parse_qs(urlsplit(begin(admin)).query)["redirect_uri"] == [used]


def test_without_a_base_url_the_address_is_called_a_guess(
    connect: Connect, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW__API__BASE_URL")
    connect()
    offer = post(admin, "/offer").json()
    assert offer["redirect_uri"] == "http://airflow.test/oauth/callback"
    assert "[api] base_url is not set" in offer["warnings"][0]
    assert "plain http" in offer["warnings"][1]


def test_a_way_that_the_server_lacks_is_named_beforehand(
    connect: Connect, admin: TestClient
) -> None:
    connect(device_url=None)
    offer = post(admin, "/offer").json()
    assert "'device_url'. Put its URL into extra." in offer["no_device"]
    assert post(admin, way="device").status_code == 409


def test_the_old_grant_is_revoked_afterwards_if_the_person_wants_it(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect(revoke_url=f"{oauth_server.base_url}/oauth/revoke")
    finish(admin, come_back(admin, agree(begin(admin))))
    assert post(admin, "/offer").json()["can_revoke_old"] is True
    answer = finish(admin, come_back(admin, agree(begin(admin, revoke_old=True))))
    assert "The old grant was revoked." in answer.json()["notes"]
    assert oauth_server.counters.revoked_families == 1


def test_tokens_that_came_are_kept_although_the_old_grant_cannot_be_revoked_any_more(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect(revoke_url=f"{oauth_server.base_url}/oauth/revoke")
    finish(admin, come_back(admin, agree(begin(admin))))
    place = come_back(admin, agree(begin(admin, revoke_old=True)))
    connect()  # without revoke_url, while the consent is under way
    answer = finish(admin, place)
    assert answer.status_code == 200, answer.text
    notes = answer.json()["notes"]
    assert [note for note in notes if note.startswith("The old grant could not be revoked")]
    assert answer.json()["grant"]["state"] == "fresh"
    assert answer.json()["grant"]["version"] > 1


def test_a_failed_trade_and_a_failed_test_call_are_told(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect()
    oauth_server.fault("/oauth/token", status=400, body='{"error": "invalid_grant"}')
    answer = finish(admin, come_back(admin, agree(begin(admin))))
    assert answer.status_code == 409
    assert answer.json()["hint"].endswith("Start again with Connect")
    oauth_server.fault("/", status=403)
    result = finish(admin, come_back(admin, agree(begin(admin)))).json()
    assert result["grant"]["state"] == "fresh"
    assert result["trial"]["ok"] is False
    assert "The credentials were refused: HTTP 403" in result["trial"]["text"]


def test_a_busy_token_endpoint_postpones_the_trade_and_loses_nothing(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect()
    oauth_server.fault("/oauth/token", status=429, headers={"Retry-After": "20"})
    place = come_back(admin, agree(begin(admin)))
    answer = finish(admin, place)
    assert answer.status_code == 200
    assert answer.json()["wait"] == 20.0
    assert answer.json()["reason"].startswith("Token endpoint unavailable (HTTP 429) for")
    assert finish(admin, place).json()["grant"]["state"] == "fresh"
    assert oauth_server.counters.token_requests == 2
    assert finish(admin, place).status_code == 409


def test_a_code_that_may_have_been_used_is_not_sent_again(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect()
    oauth_server.drop_response_after_commit("/oauth/token")
    place = come_back(admin, agree(begin(admin)))
    assert finish(admin, place).status_code == 409
    assert "This consent is over" in finish(admin, place).json()["detail"]
    assert oauth_server.counters.token_requests == 1


def test_a_pause_that_the_consent_does_not_outlive_says_when_to_start_again(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect()
    oauth_server.fault("/oauth/token", status=429, headers={"Retry-After": "700"})
    answer = finish(admin, come_back(admin, agree(begin(admin)))).json()
    assert "asks to wait 700 s: longer than a consent lives" in answer["detail"]
    assert answer["hint"].startswith("Start again with Connect after that time.")


def test_every_step_is_in_the_audit_log(connect: Connect, admin: TestClient) -> None:
    from airflow.models.log import Log  # noqa: PLC0415 - Airflow needs its home first
    from airflow.utils.session import create_session  # noqa: PLC0415 - as above
    from sqlalchemy import select  # noqa: PLC0415 - as above

    connect()
    query = agree(begin(admin))
    place = come_back(admin, query)
    finish(admin, place)
    with create_session() as session:
        latest = select(Log.event, Log.owner, Log.extra).order_by(Log.id.desc()).limit(2)
        rows = [tuple(row) for row in session.execute(latest)]
    assert [row[:2] for row in rows] == [
        ("oauth_connect", "admin"),
        ("oauth_consent_begun", "admin"),
    ]
    shown = repr(rows)
    assert '"outcome": "connected"' in shown
    for secret in (*parse_qs(query).values(), [read_ticket(place)]):
        assert secret[0] not in shown


def test_no_answer_of_the_page_holds_a_token(
    connect: Connect, admin: TestClient, oauth_server: OAuthTestServer
) -> None:
    connect()
    query = agree(begin(admin))
    place = come_back(admin, query)
    texts = [
        finish(admin, place).text,
        post(admin, "/offer").text,
        admin.get("/oauth/consent").text,
    ]
    hidden = [*oauth_server.state.list_issued(), parse_qs(query)["code"][0], "test-secret"]
    assert not [one for one in hidden for text in texts if one in text]


def test_in_broker_mode_a_file_is_enough_and_tasks_get_the_token_only(
    connect: Connect, admin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauth_taskflow.taskflow.secrets_backend import (  # noqa: PLC0415 - Airflow needs its home first
        OAuthBroker,
    )

    backend = "oauth_taskflow.taskflow.secrets_backend.OAuthBroker"
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", backend)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    connect()
    result = finish(admin, come_back(admin, agree(begin(admin)))).json()
    assert (result["grant"]["state"], result["trial"]["ok"]) == ("fresh", True)
    handed_out = OAuthBroker().get_connection("crm")
    assert handed_out is not None
    assert "test-secret" not in repr((handed_out.password, handed_out.extra))
    assert handed_out.password
