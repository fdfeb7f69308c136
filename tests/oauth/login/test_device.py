"""RFC 8628 against a real server, on a clock that the test owns."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from msgspec.structs import replace

from oauth_taskflow.errors import AuthorizationFailed, ConsentRequired, OAuthTaskflowError
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.token_endpoint import Timeouts, TokenEndpoint, TransportOptions
from oauth_taskflow.oauth.grants import GrantOptions
from oauth_taskflow.oauth.login.device import DeviceAuthorization, authorize_device, wait_for_device
from oauth_taskflow.redaction import redact_address
from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.fixtures import ServerFactory

OPTIONS = GrantOptions(scope="airports.read")


class Waiting:
    """A clock that only sleeping moves; ``then`` is done in the sleep of that number."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self.slept: list[float] = []
        self.then: dict[int, Any] = {}

    def now(self) -> float:
        return self.time

    monotonic = now

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept.append(seconds)
        self.then.get(len(self.slept), int)()


@pytest.fixture
def clock() -> Waiting:
    return Waiting()


@pytest.fixture
def server(oauth_server_factory: ServerFactory, clock: Waiting) -> OAuthTestServer:
    return oauth_server_factory(clock=clock)


def endpoint(server: OAuthTestServer, clock: Waiting) -> TokenEndpoint:
    client = Client(server.client_id, server.client_secret)
    return TokenEndpoint(server.token_url, client, conn_id="crm", clock=clock)


def begin(server: OAuthTestServer, clock: Waiting) -> DeviceAuthorization:
    url = f"{server.base_url}/oauth/device"
    return authorize_device(endpoint(server, clock), url, OPTIONS)


def decide(device: DeviceAuthorization) -> None:
    requests.get(device.complete_uri, timeout=20).raise_for_status()


def test_the_device_login_polls_at_the_servers_interval_until_the_person_agrees(
    server: OAuthTestServer, clock: Waiting
) -> None:
    server.desk.device_interval = 7.0
    device = begin(server, clock)
    clock.then[3] = lambda: decide(device)
    granted = wait_for_device(endpoint(server, clock), device, OPTIONS)
    assert isinstance(granted, Granted)
    assert granted.refresh_token
    assert clock.slept == [7.0, 7.0, 7.0]
    assert device.device_code not in repr(device)


def test_slow_down_adds_five_seconds_for_good(server: OAuthTestServer, clock: Waiting) -> None:
    device = begin(server, clock)
    body = '{"error": "slow_down"}'
    server.fault("/oauth/token", status=400, body=body)
    clock.then[3] = lambda: decide(device)
    wait_for_device(endpoint(server, clock), device, OPTIONS)
    assert clock.slept == [5.0, 10.0, 10.0]


def test_a_client_that_hurries_is_slowed_down_by_the_server(
    server: OAuthTestServer, clock: Waiting
) -> None:
    server.desk.device_interval = 20.0
    reported = begin(server, clock)
    hurried = DeviceAuthorization(
        reported.device_code,
        reported.user_code,
        reported.verification_uri,
        reported.complete_uri,
        600.0,
        4.0,
    )
    clock.then[6] = lambda: decide(reported)
    wait_for_device(endpoint(server, clock), hurried, OPTIONS)
    assert clock.slept == [4.0, 4.0, 9.0, 14.0, 19.0, 19.0]


def test_lost_answers_double_the_interval(server: OAuthTestServer, clock: Waiting) -> None:
    device = begin(server, clock)
    server.fault("/oauth/token", drop=True, times=2)
    clock.then[3] = lambda: decide(device)
    wait_for_device(endpoint(server, clock), device, OPTIONS)
    assert clock.slept == [5.0, 10.0, 20.0]


@pytest.mark.slow
def test_an_answer_that_does_not_come_in_time_doubles_the_interval(
    server: OAuthTestServer, clock: Waiting
) -> None:
    device = begin(server, clock)
    server.fault("/oauth/token", hang=60.0)
    clock.then[2] = lambda: decide(device)
    hasty = TransportOptions(timeouts=Timeouts(read=2.0, total=4.0))
    wait_for_device(replace(endpoint(server, clock), transport=hasty), device, OPTIONS)
    assert clock.slept == [5.0, 10.0]


def test_a_busy_server_is_polled_after_its_retry_after(
    server: OAuthTestServer, clock: Waiting
) -> None:
    device = begin(server, clock)
    server.fault("/oauth/token", status=429, headers={"Retry-After": "90"})
    clock.then[2] = lambda: decide(device)
    wait_for_device(endpoint(server, clock), device, OPTIONS)
    assert clock.slept == [5.0, 90.0]


def test_polling_stops_when_the_device_code_expires(
    server: OAuthTestServer, clock: Waiting
) -> None:
    server.desk.device_lifetime = 21.0
    with pytest.raises(AuthorizationFailed) as caught:
        wait_for_device(endpoint(server, clock), begin(server, clock), OPTIONS)
    assert len(clock.slept) == 4
    assert str(caught.value) == (
        f"The person did not agree before the device code expired for connection 'crm' at {redact_address(server.token_url)}. "
        "Start again: airflow oauth login crm --device"
    )


def test_a_person_who_refuses_ends_the_device_login(
    server: OAuthTestServer, clock: Waiting
) -> None:
    device = begin(server, clock)
    server.desk.decision = "refuse"
    decide(device)
    with pytest.raises(ConsentRequired, match="access_denied"):
        wait_for_device(endpoint(server, clock), device, OPTIONS)
    assert clock.slept == [5.0]


def test_an_expired_token_error_ends_the_device_login(
    server: OAuthTestServer, clock: Waiting
) -> None:
    device = begin(server, clock)
    server.fault("/oauth/token", status=400, body='{"error": "expired_token"}')
    again = r"expired \(expired_token\) .* airflow oauth login"
    with pytest.raises(AuthorizationFailed, match=again):
        wait_for_device(endpoint(server, clock), device, OPTIONS)


def test_sparse_answers_get_the_defaults_of_the_rfc(
    server: OAuthTestServer, clock: Waiting
) -> None:
    body = (
        '{"device_code": "d", "user_code": "u", "verification_url": "https://v", "interval": "x"}'
    )
    server.fault("/oauth/device", status=200, body=body)
    device = begin(server, clock)
    assert (device.interval, device.expires_in, device.complete_uri) == (5.0, 600.0, "")
    assert device.verification_uri == "https://v"


@pytest.mark.parametrize("number", ["9" * 400, "1e999", "1e308", "-1", "0", "true", "[1]"])
def test_impossible_lifetimes_and_intervals_count_as_missing(
    server: OAuthTestServer, clock: Waiting, number: str
) -> None:
    body = f'{{"device_code": "d", "user_code": "u", "verification_uri": "https://v", "interval": {number}, "expires_in": {number}}}'
    server.fault("/oauth/device", status=200, body=body)
    device = begin(server, clock)
    assert (device.interval, device.expires_in) == (5.0, 600.0)


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        ({"status": 200, "body": "{}"}, "gave no device code"),
        ({"status": 401, "body": '{"error": "invalid_client"}'}, "refused (invalid_client"),
        ({"status": 200, "body": '{"error": "slow_down"}'}, "refused (slow_down"),
    ],
)
def test_a_failing_device_endpoint_is_named(
    server: OAuthTestServer, clock: Waiting, answered: dict[str, Any], reason: str
) -> None:
    server.fault("/oauth/device", **answered)
    with pytest.raises(OAuthTaskflowError) as caught:
        begin(server, clock)
    assert reason in str(caught.value)
