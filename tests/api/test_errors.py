"""Errors that requests users know too."""

from __future__ import annotations

import pickle

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from oauth_taskflow.api.errors import (
    ApiCallFailed,
    ApiNotJson,
    ApiStatusError,
    ApiTimeout,
    ApiUnreachable,
    status_error,
)
from oauth_taskflow.api.network_errors import is_unsent, network_error
from oauth_taskflow.api.response import ApiResponse
from oauth_taskflow.errors import ApiRequestFailed, OAuthTaskflowError
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.airflow_deployment import free_port
from tests.api.pull.offline import BASE, answer

REQUEST = requests.Request("POST", f"{BASE}x?token=hush").prepare()


def text_of(body: bytes, content_type: str, **headers: str) -> str:
    response = answer(body, status=400, headers={"Content-Type": content_type})
    response.request.headers.update(headers)
    return str(status_error(response))


@pytest.mark.parametrize(
    ("error", "kind", "retryable", "message"),
    [
        (requests.ConnectTimeout("x"), ApiTimeout, True, "The API did not connect in time"),
        (requests.ReadTimeout("x"), ApiTimeout, True, "The API did not answer in time"),
        (
            requests.exceptions.SSLError("token=hush"),
            ApiUnreachable,
            False,
            "The API's TLS certificate or handshake was refused: SSLError",
        ),
        (
            requests.exceptions.ProxyError("token=hush"),
            ApiUnreachable,
            True,
            "The API could not be reached or broke off: ProxyError",
        ),
        (
            requests.exceptions.InvalidHeader("hush"),
            ApiCallFailed,
            False,
            "The request failed: InvalidHeader",
        ),
    ],
)
def test_every_network_failure_has_a_home_without_foreign_text(
    error: requests.RequestException, kind: type, retryable: bool, message: str
) -> None:
    made = network_error(error, REQUEST, retryable=True)
    assert isinstance(made, kind)
    assert isinstance(made, type(error))
    assert made.retryable == retryable
    assert str(made).startswith(f"{message} at POST {BASE}x?token=***.")
    assert "hush" not in str(made)


def test_the_innermost_system_text_is_shown() -> None:
    cause = OSError(104, "Connection reset by peer")
    error = requests.ConnectionError(ProtocolError("Connection aborted.", cause))
    assert "broke off: Connection reset by peer at" in str(
        network_error(error, REQUEST, retryable=True)
    )


def test_causes_that_point_at_each_other_end() -> None:
    first, second = requests.ConnectionError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert "broke off: ValueError" in str(network_error(first, REQUEST, retryable=True))


@pytest.mark.parametrize(
    ("error", "nothing"),
    [
        (requests.ConnectTimeout(), True),
        (requests.ConnectionError(MaxRetryError(None, "/", NewConnectionError(None, "x"))), True),  # type: ignore[arg-type]  # pools are not looked at
        (requests.ConnectionError(ProtocolError("x")), False),
        (requests.ReadTimeout(), False),
        (requests.ConnectionError(), False),
    ],
)
def test_whether_anything_was_sent(error: requests.RequestException, nothing: bool) -> None:
    assert is_unsent(error) is nothing


def test_bodies_are_shown_when_they_are_text_made_for_programs() -> None:
    assert '400: {"detail": "no"} at' in text_of(b'{"detail":\n "no"}', "application/problem+json")
    assert "400: plain at" in text_of(b"plain", "text/plain; charset=utf-8")
    assert "HTTP 400 at" in text_of(b"<html>", "text/html")
    assert "HTTP 400 at" in text_of(b"\x00\x01", "application/octet-stream")
    assert "HTTP 400 at" in text_of(b"", "application/json")


def test_bodies_are_cut_and_redacted() -> None:
    body = b'{"echo": "abcdef-token", "refresh_token": "another"}' + b"x" * 500
    shown = text_of(body, "application/json", Authorization="Bearer abcdef-token")
    assert ("abcdef-token" in shown, "another" in shown, "…" in shown) == (False, False, True)


def test_raise_for_status_is_silent_below_400() -> None:
    response = answer({}, status=304)
    response.__class__ = ApiResponse
    response.raise_for_status()


@pytest.mark.parametrize("kind", [ApiStatusError, ApiUnreachable, ApiTimeout])
def test_the_errors_are_ours_and_those_of_requests(kind: type[ApiRequestFailed]) -> None:
    error = kind("what", where="at x", retryable=True, retry_after=3.0)
    assert isinstance(error, OAuthTaskflowError)
    assert isinstance(error, requests.RequestException)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.retryable, again.retry_after) == (
        kind,
        "what at x.",
        True,
        3.0,
    )


def test_a_page_where_json_is_expected_is_named_and_still_a_value_error() -> None:
    page = answer(b"<html>access_token=hush</html>", headers={"Content-Type": "text/html"})
    page.__class__ = ApiResponse
    with pytest.raises(ApiNotJson) as caught:
        page.json()
    assert isinstance(caught.value, requests.JSONDecodeError)
    assert "The answer is not JSON but text/html (HTTP 200, 30 bytes)" in str(caught.value)
    assert "call raise_for_status() before json()" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_json_is_read_as_with_requests() -> None:
    page = answer(b'{"a": 1.5}')
    page.__class__ = ApiResponse
    assert page.json(parse_float=str) == {"a": "1.5"}


@pytest.mark.parametrize(
    ("sent", "hint"),
    [
        ("Bearer abcdef-token", "scope and audience, if its grant has them"),
        (
            "DPoP abcdef-token",
            "scope and audience, if its grant has them. "
            "A DPoP proof is refused when this machine's clock is wrong: check it.",
        ),
        ("Basic YWJjZGVm", "Check login and password of the connection."),
        ("", "Check auth_type of the connection, and what it sends."),
    ],
)
def test_the_hint_of_a_401_depends_on_the_credentials_sent(sent: str, hint: str) -> None:
    response = answer(b"", status=401)
    response.request.headers["Authorization"] = sent
    assert str(status_error(response)).endswith(hint if hint.endswith(".") else f"{hint}.")


def test_a_host_without_tls_is_not_reported_as_a_bad_certificate(
    oauth_server: OAuthTestServer,
) -> None:
    url = oauth_server.base_url.replace("http:", "https:")
    with pytest.raises(requests.exceptions.SSLError) as caught:
        requests.get(url, timeout=120)
    error = network_error(caught.value, REQUEST, retryable=True)
    assert str(error).endswith(
        "Nothing speaks TLS there: check scheme and port in host of the connection."
    )


def test_a_host_that_does_not_listen_is_said_with_what_to_check() -> None:
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get(f"http://127.0.0.1:{free_port()}", timeout=10)
    error = network_error(caught.value, REQUEST, retryable=True)
    assert "Connection refused at" in str(error)
    assert str(error).endswith("Check host of the connection, DNS, proxy and firewall.")
