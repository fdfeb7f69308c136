"""Hook, operator and sensor treat a broken answer as sessions do, with the keep-alive of ``HttpHook`` and without."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from oauth_taskflow import OAuth2Hook, OAuth2HttpOperator, OAuth2HttpSensor
from oauth_taskflow.errors import ApiRequestFailed
from tests.api.test_broken_answers import DRIPS, WHOLE, dripping
from tests.api.wire import Wire, on_the_wire
from tests.taskflow.conftest import SetConnection
from tests.taskflow.http.test_parity import run_with_deferrals

pytestmark = pytest.mark.filterwarnings(
    "ignore::airflow.utils.deprecation_tools.DeprecatedImportWarning"
)
OPTIONS = (socket.TCP_KEEPIDLE, socket.TCP_KEEPCNT, socket.TCP_KEEPINTVL)
# A POST is sent once, so that no test waits between attempts.
TASK: dict[str, Any] = {
    "task_id": "call",
    "http_conn_id": "crm",
    "endpoint": "/x",
    "method": "POST",
}


def call_with_hook(**options: Any) -> object:
    return OAuth2Hook("POST", "crm", **options).run("/x")


CALLERS: dict[str, Callable[[], object]] = {
    "hook": call_with_hook,
    "hook without keep-alive": lambda: call_with_hook(tcp_keep_alive=False),
    "operator": lambda: OAuth2HttpOperator(**TASK).execute({}),
    "deferred operator": lambda: run_with_deferrals(OAuth2HttpOperator(**TASK, deferrable=True)),
    "sensor": lambda: OAuth2HttpSensor(**TASK).execute({}),
    "deferred sensor": lambda: run_with_deferrals(OAuth2HttpSensor(**TASK, deferrable=True)),
}


@pytest.fixture
def connect(airflow_home: object, set_connection: SetConnection) -> Callable[..., None]:
    """``connect(wire)`` makes the connection that all callers use."""

    def make(wire: Wire, **extra: Any) -> None:
        extra = {"auth_type": "none", **extra}
        set_connection("crm", {"conn_type": "oauth2", "host": wire.url, "extra": extra})

    return make


@pytest.mark.parametrize("call", CALLERS.values(), ids=CALLERS)
@pytest.mark.parametrize("length", [40, WHOLE.index(b"\r\n\r\n") + 2])
def test_an_answer_cut_off_within_its_headers_is_no_empty_success(
    connect: Callable[..., None], call: Callable[[], object], length: int
) -> None:
    with on_the_wire(lambda *_: WHOLE[:length]) as wire:
        connect(wire)
        with pytest.raises(ApiRequestFailed, match="could not be reached or broke off") as caught:
            call()
    assert (caught.value.retryable, len(wire.targets)) == (True, 1)


@pytest.mark.parametrize(
    ("caller", "part"), [("hook", "headers"), ("hook", "body"), ("deferred operator", "body")]
)
def test_an_answer_that_drips_in_ends_in_time(
    connect: Callable[..., None], caller: str, part: str
) -> None:
    with on_the_wire(lambda *_: dripping(*DRIPS[part])) as wire:
        connect(wire, max_answer_seconds=1)
        with pytest.raises(ApiRequestFailed, match="not whole after 1 s") as caught:
            CALLERS[caller]()
    assert caught.value.retryable


@pytest.mark.parametrize("through_proxy", [False, True], ids=["direct", "through a proxy"])
def test_the_keep_alive_of_the_arguments_is_set_on_the_socket(
    connect: Callable[..., None], through_proxy: bool
) -> None:
    def read_options(**arguments: Any) -> tuple[int, list[int]]:
        session = OAuth2Hook("GET", "crm", **arguments).get_conn()
        with session, session.get("/x", stream=True) as answer:
            connection: Any = answer.raw.connection
            sock = connection.sock
            kept = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            return kept, [sock.getsockopt(socket.IPPROTO_TCP, option) for option in OPTIONS]

    with on_the_wire(lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as wire:
        connect(wire, **({"proxies": {"http": wire.url}} if through_proxy else {}))
        assert read_options() == (1, [120, 20, 30])  # the defaults of HttpHook
        asked = {
            "tcp_keep_alive_idle": 7,
            "tcp_keep_alive_count": 3,
            "tcp_keep_alive_interval": 5,
        }
        assert read_options(**asked) == (1, [7, 3, 5])
        assert read_options(tcp_keep_alive=False)[0] == 0
