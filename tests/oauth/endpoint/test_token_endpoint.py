"""One exchange on real sockets: what is sent, what is never sent, and how each failure is named."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from msgspec.structs import replace

from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidClient,
    InvalidGrant,
    TokenEndpointUnavailable,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import (
    Granted,
    NotProcessed,
    Outcome,
    OutcomeUnknown,
    Rejected,
)
from oauth_taskflow.oauth.endpoint.token_endpoint import Timeouts, TokenEndpoint, TransportOptions
from oauth_taskflow.oauth.endpoint.transport import Deadline, Wire
from oauth_taskflow.oauth.grants import ClientCredentials, GrantOptions, RefreshToken
from oauth_taskflow.testing import OAuthTestServer
from tests.oauth.raw_server import answering, closing, raw_server, read_request, self_signed, silent

CLIENT = Client("me", "client-s3cret")
REFRESH = RefreshToken("refresh-s3cret")
FAST = TransportOptions(timeouts=Timeouts(connect=10, read=0.3, total=30))


def endpoint(place: str, scheme: str = "http", **fields: object) -> TokenEndpoint:
    return TokenEndpoint(f"{scheme}://{place}/token", CLIENT, conn_id="crm", **fields)  # type: ignore[arg-type]


def error_of(outcome: Outcome) -> Exception:
    assert not isinstance(outcome, Granted)
    assert "s3cret" not in str(outcome.error) + repr(outcome)
    return outcome.error


def http(status: str, body: bytes = b"", *headers: bytes) -> bytes:
    lines = (f"HTTP/1.1 {status}".encode(), f"Content-Length: {len(body)}".encode(), *headers)
    return b"\r\n".join((*lines, b"Connection: close", b"", body))


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_real_server_grants_client_credentials_and_refresh(method: str) -> None:
    with OAuthTestServer() as server:
        client = Client(server.client_id, server.client_secret)
        under_test = TokenEndpoint(server.token_url, client, client_auth=method)
        first = under_test.exchange(ClientCredentials(GrantOptions(scope="airports.read")))
        assert isinstance(first, Granted)
        assert first.token.scope == "airports.read"
        second = under_test.exchange(RefreshToken(server.issue_refresh_token()))
        assert isinstance(second, Granted)
        assert second.refresh_token


def test_a_real_server_refuses_a_wrong_secret_and_an_unknown_refresh_token() -> None:
    with OAuthTestServer() as server:
        wrong = TokenEndpoint(server.token_url, Client(server.client_id, "wrong"))
        assert isinstance(error_of(wrong.exchange(ClientCredentials())), InvalidClient)
        right = TokenEndpoint(server.token_url, Client(server.client_id, server.client_secret))
        assert isinstance(error_of(right.exchange(RefreshToken("unknown"))), InvalidGrant)


def test_a_public_client_of_a_real_server_sends_no_secret() -> None:
    with OAuthTestServer(client_auth=("none",)) as server:
        under_test = TokenEndpoint(server.token_url, Client(server.client_id), client_auth="none")
        assert isinstance(under_test.exchange(RefreshToken(server.issue_refresh_token())), Granted)
        (request,) = server.requests
        assert "Authorization" not in request.headers
        assert request.form["client_id"] == server.client_id


def test_the_request_is_a_form_post_that_asks_for_json() -> None:
    seen: list[bytes] = []
    options = GrantOptions(
        scope="a b", resource=("https://1", "https://2"), headers={"X-Merchant": "7"}
    )
    with raw_server(answering(http("200 OK", b'{"access_token":"at"}'), seen)) as place:
        endpoint(place).exchange(ClientCredentials(options))
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /token HTTP/1.1")
    assert b"Content-Type: application/x-www-form-urlencoded" in head
    assert b"Accept: application/json" in head
    assert b"X-Merchant: 7" in head
    assert parse_qsl(body.decode()) == [
        ("grant_type", "client_credentials"),
        ("scope", "a b"),
        ("resource", "https://1"),
        ("resource", "https://2"),
    ]


def test_an_invalid_request_names_the_parameters_that_were_sent_and_no_value() -> None:
    answer = http("400 Bad Request", b'{"error":"invalid_request"}')
    grant = RefreshToken(
        "refresh-s3cret", GrantOptions(scope="a", resource=("https://1", "https://2"))
    )
    with raw_server(answering(answer)) as place:
        outcome = endpoint(place, client_auth="client_secret_post").exchange(grant)
    shown = str(error_of(outcome))
    assert (
        "sent were grant_type, refresh_token, scope, resource, client_id, client_secret;" in shown
    )


@pytest.mark.parametrize(
    ("client_auth", "named"), [("client_secret_basic", True), ("client_secret_post", False)]
)
def test_an_invalid_request_names_the_other_place_of_id_and_secret(
    client_auth: str, named: bool
) -> None:
    with raw_server(answering(http("400 Bad Request", b'{"error":"invalid_request"}'))) as place:
        outcome = endpoint(place, client_auth=client_auth).exchange(ClientCredentials())
    shown = str(error_of(outcome))
    assert (
        "If the server wants them in the body, set client_auth: client_secret_post" in shown
    ) == named


def test_the_body_may_be_json() -> None:
    seen: list[bytes] = []
    options = GrantOptions(scope="a", resource=("https://1", "https://2"), body="json")
    with raw_server(answering(http("200 OK", b'{"access_token":"at"}'), seen)) as place:
        endpoint(place).exchange(ClientCredentials(options))
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {
        "grant_type": "client_credentials",
        "scope": "a",
        "resource": ["https://1", "https://2"],
    }


def test_neither_netrc_nor_proxy_variables_nor_cookies_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    seen: list[bytes] = []
    answer = http("200 OK", b'{"access_token":"at"}', b"Set-Cookie: a=b")
    with raw_server(answering(answer, seen)) as place:
        under_test = endpoint(place, client_auth="client_secret_post")
        for _ in range(2):
            assert isinstance(under_test.exchange(ClientCredentials()), Granted)
    assert all(b"Authorization" not in request for request in seen)
    assert b"Cookie" not in seen[1]


def test_a_redirect_is_not_followed() -> None:
    seen: list[bytes] = []
    answer = http("307 Temporary Redirect", b"", b"Location: /other")
    with raw_server(answering(answer, seen)) as place:
        assert isinstance(error_of(endpoint(place).exchange(REFRESH)), ConnectionConfigError)
    assert len(seen) == 1


def test_a_closed_port_means_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
    outcome = endpoint(place).exchange(REFRESH)
    assert isinstance(outcome, NotProcessed)
    assert str(error_of(outcome)) == (
        "Token endpoint not reachable (ConnectionRefusedError, before anything was sent) "
        f"for connection 'crm' at {place}/token. "
        "Check token_url, DNS, proxy and firewall. Tasks try again by themselves."
    )


def test_a_name_that_does_not_resolve_means_nothing_was_sent() -> None:
    outcome = endpoint("token.invalid", "https").exchange(REFRESH)
    assert isinstance(outcome, NotProcessed)
    assert isinstance(outcome.error, TokenEndpointUnavailable)


def test_a_connection_closed_without_answer_leaves_the_outcome_unknown() -> None:
    with raw_server(closing) as place:
        outcome = endpoint(place).exchange(REFRESH)
    assert isinstance(outcome, OutcomeUnknown)
    assert "after the request was sent" in str(error_of(outcome))


def test_a_request_is_sent_once_even_if_the_connection_breaks() -> None:
    seen: list[bytes] = []
    with raw_server(answering(b"", seen)) as place:
        endpoint(place).exchange(REFRESH)
    assert len(seen) == 1


def test_no_answer_in_time_leaves_the_outcome_unknown() -> None:
    with raw_server(silent) as place:
        outcome = endpoint(place, transport=FAST).exchange(REFRESH)
    assert isinstance(outcome, OutcomeUnknown)
    assert "ReadTimeout" in str(error_of(outcome)) or "timeout" in str(error_of(outcome)).lower()


@pytest.mark.slow
@pytest.mark.parametrize("drip", [b"X-Drip: 1\r\n", b"x"], ids=["headers", "body"])
def test_an_answer_that_drips_in_is_cut_at_the_deadline(drip: bytes) -> None:
    start = b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 9999\r\n\r\n" if drip == b"x" else b"")

    def behaviour(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(start)
        while True:  # until the client leaves
            connection.sendall(drip)
            time.sleep(0.05)

    # A server that stalls between two drips must not pass as one that is finished.
    patient = TransportOptions(timeouts=Timeouts(total=3.0))
    with raw_server(behaviour) as place:
        outcome = endpoint(place, transport=patient).exchange(REFRESH)
    assert isinstance(outcome, OutcomeUnknown)
    assert "deadline passed" in str(error_of(outcome))


def test_a_smaller_budget_moves_the_deadline() -> None:
    with raw_server(silent) as place:
        began = time.monotonic()
        endpoint(place).exchange(REFRESH, budget=0.2)
        assert time.monotonic() - began < Timeouts().total / 2


def test_a_truncated_answer_leaves_the_outcome_unknown() -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"access_token":'
    with raw_server(answering(answer)) as place:
        assert isinstance(endpoint(place).exchange(REFRESH), OutcomeUnknown)


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    answer = http("200 OK", b" " * (3 << 20))
    with raw_server(answering(answer)) as place:
        assert isinstance(endpoint(place).exchange(REFRESH), OutcomeUnknown)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_a_response_that_is_not_http_leaves_the_outcome_unknown(answer: bytes) -> None:
    with raw_server(answering(answer)) as place:
        outcome = endpoint(place).exchange(REFRESH)
    assert isinstance(outcome, OutcomeUnknown)
    error_of(outcome)


def test_an_unknown_certificate_is_a_configuration_error_and_nothing_is_sent(
    tmp_path: Path,
) -> None:
    context, path = self_signed(tmp_path)
    seen: list[bytes] = []
    answer = http("200 OK", b'{"access_token":"at"}')
    with raw_server(answering(answer, seen), context) as place:
        outcome = endpoint(place, "https").exchange(REFRESH)
        assert str(error_of(outcome)) == (
            f"The certificate of {place}/token was refused (self-signed certificate) "
            "in connection 'crm', field 'verify'. "
            "Set verify to the file of the CA that signed it; checks are never switched off here."
        )
        assert seen == []
        trusting = replace(endpoint(place, "https"), transport=TransportOptions(verify=str(path)))
        assert isinstance(trusting.exchange(REFRESH), Granted)


def test_a_server_that_speaks_no_tls_means_nothing_was_sent() -> None:
    with raw_server(lambda connection: connection.sendall(b"hello, this is no TLS\r\n")) as place:
        outcome = endpoint(place, "https").exchange(REFRESH)
    assert isinstance(outcome, NotProcessed)


def test_a_refused_proxy_connection_means_nothing_was_sent() -> None:
    def refuse(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(http("403 Forbidden"))

    with raw_server(refuse) as proxy:
        transport = TransportOptions(proxies={"https": f"http://{proxy}"})
        outcome = endpoint("id.example.com", "https", transport=transport).exchange(REFRESH)
    assert isinstance(outcome, NotProcessed)


def test_a_missing_ca_file_is_a_configuration_error() -> None:
    transport = TransportOptions(verify="/nowhere/ca.pem")
    outcome = endpoint("127.0.0.1:9", "https", transport=transport).exchange(REFRESH)
    assert isinstance(outcome, Rejected)
    assert "No request to 127.0.0.1:9/token can be made (OSError:" in str(error_of(outcome))


def test_a_header_that_cannot_be_sent_is_a_configuration_error() -> None:
    grant = ClientCredentials(GrantOptions(headers={"X-Id": "s3cret\n"}))
    outcome = endpoint("127.0.0.1:9").exchange(grant)
    assert isinstance(outcome, Rejected)
    error = error_of(outcome)  # requests quotes the value in its own
    assert isinstance(error, ConnectionConfigError)
    assert "No request to 127.0.0.1:9/token can be made (InvalidHeader) in" in str(error)


def test_keys_that_a_server_repeats_from_parameters_and_headers_are_hidden() -> None:
    body = b'{"error": "invalid_request", "error_description": "api key pa-s3cret, he-s3cret?"}'
    options = GrantOptions(params={"api_key": "pa-s3cret"}, headers={"X-Api-Key": "he-s3cret"})
    with raw_server(answering(http("400 Bad", body))) as place:
        outcome = endpoint(place).exchange(ClientCredentials(options))
    assert "api key ***, ***?" in str(error_of(outcome))


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/token",
        "http://localhost/token",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@id.example.com/token",
        "ftp://id.example.com/token",
        "https:///token",
        "id.example.com/token",
        "",
    ],
)
def test_only_https_or_loopback_is_accepted(url: str) -> None:
    with pytest.raises(ConnectionConfigError, match="is not an https URL"):
        TokenEndpoint(url, CLIENT, conn_id="crm")


@pytest.mark.parametrize(
    "url", ["https://id.example.com/t", "http://127.0.0.1:1/t", "http://[::1]/t"]
)
def test_https_and_loopback_literals_are_accepted(url: str) -> None:
    assert TokenEndpoint(url, CLIENT).url == url


def test_an_unknown_client_auth_is_refused() -> None:
    with pytest.raises(ConnectionConfigError) as raised:
        TokenEndpoint("https://id.example.com", CLIENT, conn_id="crm", client_auth="basic")
    assert str(raised.value) == (
        "Unknown client authentication method 'basic' in connection 'crm', field 'client_auth'. "
        "Known: client_assertion, client_secret_basic, client_secret_basic_raw, client_secret_jwt, client_secret_post, "
        "none, private_key_jwt, private_key_jwt_header, self_signed_tls_client_auth, tls_client_auth, unauthenticated."
    )


def test_no_repr_shows_a_secret() -> None:
    transport = TransportOptions(proxies={"https": "http://me:s3cret@proxy"})
    assert "s3cret" not in repr(endpoint("127.0.0.1:9", transport=transport))


def test_a_process_that_stood_still_does_not_send_late() -> None:
    wire = Wire(seconds=5, began=(time.monotonic(), time.time() - 60))
    with pytest.raises(TimeoutError):
        wire.about_to_send()
    assert wire.expired
    assert not wire.sent


def test_a_deadline_without_connections_ends_nothing() -> None:
    wire = Wire(seconds=0.01)
    with Deadline(wire):
        time.sleep(0.05)
    assert wire.expired


def test_a_worker_that_may_not_send_any_more_sends_nothing() -> None:
    with OAuthTestServer() as server:
        asked: list[int] = []

        def may_send() -> bool:
            asked.append(server.counters.token_requests)
            return False

        under_test = TokenEndpoint(
            server.token_url,
            Client(server.client_id, server.client_secret),
            may_send=may_send,
        )
        outcome = under_test.exchange(RefreshToken(server.issue_refresh_token()))
        assert isinstance(outcome, NotProcessed)
        assert asked == [0]
        assert server.counters.token_requests == 0
