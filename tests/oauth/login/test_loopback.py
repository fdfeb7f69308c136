"""The listener that waits for the browser, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from oauth_taskflow.oauth.login.loopback import LoopbackListener


def mine(answer: Mapping[str, str]) -> bool:
    return answer.get("state") == "mine"


@pytest.fixture
def listener() -> Iterator[LoopbackListener]:
    with LoopbackListener(mine) as running:
        yield running


def get(listener: LoopbackListener, target: str, **headers: str) -> requests.Response:
    return requests.get(
        f"http://{listener.authority}{target}", headers=headers, allow_redirects=False, timeout=20
    )


def test_it_listens_on_the_loopback_address_only(listener: LoopbackListener) -> None:
    assert listener.redirect_uri.startswith("http://127.0.0.1:")
    assert listener._server.server_address[0] == "127.0.0.1"


def test_the_answer_is_taken_and_the_browser_led_to_a_clean_address(
    listener: LoopbackListener,
) -> None:
    answer = get(listener, "/callback?code=s3cret&state=mine")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/done")
    page = get(listener, "/done")
    assert page.status_code == 200
    assert "s3cret" not in page.text + str(page.headers) + answer.text + str(answer.headers)
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert listener.wait(20) == [("code", "s3cret"), ("state", "mine")]


@pytest.mark.parametrize("wish", ["next", "redirect_uri", "url", "return_to"])
def test_nothing_in_an_answer_chooses_where_the_browser_goes(
    listener: LoopbackListener, wish: str
) -> None:
    for target in (f"/callback?code=x&state=other&{wish}=https://evil.example", "//evil.example"):
        assert "Location" not in get(listener, target).headers
    answer = get(listener, f"/callback?code=x&state=mine&{wish}=https://evil.example")
    assert answer.headers["Location"] == "/done"


def test_a_second_answer_changes_nothing(listener: LoopbackListener) -> None:
    get(listener, "/callback?code=first&state=mine")
    assert get(listener, "/callback?code=second&state=mine").status_code == 400
    assert listener.wait(20, goodbye=0) == [("code", "first"), ("state", "mine")]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/favicon.ico", 404),
        ("/", 404),
        ("/done", 404),
        ("/callback", 400),
        ("/callback?code=x&state=other", 400),
    ],
)
def test_unexpected_requests_leave_the_listener_waiting(
    listener: LoopbackListener, target: str, status: int
) -> None:
    assert get(listener, target).status_code == status
    assert listener.wait(0) is None
    assert get(listener, "/callback?code=x&state=mine").status_code == 303


def test_another_host_name_is_refused(listener: LoopbackListener) -> None:
    port = listener.authority.partition(":")[2]
    for host in (f"evil.example:{port}", f"localhost:{port}", "127.0.0.1"):
        assert get(listener, "/callback?code=x&state=mine", Host=host).status_code == 421
    assert listener.wait(0) is None


def test_an_answer_by_post_is_refused(listener: LoopbackListener) -> None:
    answer = requests.post(f"{listener.redirect_uri}?code=x&state=mine", timeout=20)
    assert answer.status_code == 501
    assert listener.wait(0) is None


def test_a_connection_that_stays_silent_does_not_keep_others_waiting(
    listener: LoopbackListener,
) -> None:
    host, _, port = listener.authority.partition(":")
    with socket.create_connection((host, int(port))):
        assert get(listener, "/callback?code=x&state=mine").status_code == 303


def test_a_peer_elsewhere_is_refused(listener: LoopbackListener) -> None:
    server = listener._server
    assert server.verify_request(None, ("127.0.0.1", 1))
    assert not server.verify_request(None, ("192.0.2.1", 1))


def test_a_taken_port_is_an_error_and_the_port_is_free_afterwards() -> None:
    with LoopbackListener(mine) as running:
        port = int(running.authority.partition(":")[2])
        with pytest.raises(OSError, match="in use"):
            LoopbackListener(mine, port=port)
    with LoopbackListener(mine, port=port, host="localhost", path="/cb") as again:
        assert again.redirect_uri == f"http://localhost:{port}/cb"


@pytest.mark.slow
def test_a_second_login_on_a_registered_port_follows_the_first_at_once() -> None:
    """Connections that the first one closed still hold the port."""
    with LoopbackListener(mine) as first:
        port = int(first.authority.rpartition(":")[2])
        for _ in range(3):
            get(first, "/callback?code=one&state=mine")
    held = Path("/proc/net/tcp").read_text().splitlines()[1:]
    in_time_wait = [line for line in held if line.split()[1].endswith(f":{port:04X}")]
    assert "06" in [line.split()[3] for line in in_time_wait], "the port is free anyway"
    with LoopbackListener(mine, port=port) as second:
        get(second, "/callback?code=two&state=mine")
        assert second.wait(20) == [("code", "two"), ("state", "mine")]


@pytest.mark.parametrize("shares", [0, 1])
def test_a_port_that_a_living_program_holds_is_refused(shares: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shares)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="Address already in use"):
            LoopbackListener(mine, port=other.getsockname()[1])


def test_a_port_that_is_bound_and_not_listened_on_is_refused_too() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="Address already in use"):
            LoopbackListener(mine, port=other.getsockname()[1])


def test_no_other_program_takes_the_port_while_a_login_waits(listener: LoopbackListener) -> None:
    port = int(listener.authority.rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", port))
