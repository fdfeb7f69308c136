"""Operator, sensor and their triggers on the real server; deferred calls run in the triggerer of ``dag.test``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pkgutil import resolve_name
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger, TriggerEvent

from oauth_taskflow import OAuth2HttpOperator, OAuth2HttpSensor, OAuthRetryPolicy
from oauth_taskflow.errors import (
    ApiRequestFailed,
    ConnectionConfigError,
    ForeignOriginRefused,
    InvalidClient,
    OAuthTaskflowError,
    ResultRefused,
)
from oauth_taskflow.taskflow.http.events import raise_failure, response_from_event
from oauth_taskflow.taskflow.http.triggers import (
    OAuth2HttpSensorTrigger,
    OAuth2HttpTrigger,
    is_not_yet,
)
from oauth_taskflow.taskflow.retry_policy import HAS_RETRY_POLICIES
from oauth_taskflow.taskflow.sessions import open_session
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import RunDag, SetConnection

pytestmark = [
    pytest.mark.airflow,
    # HttpOperator itself uses a name that Airflow 3.3 deprecates.
    pytest.mark.filterwarnings("ignore::airflow.utils.deprecation_tools.DeprecatedImportWarning"),
]


@pytest.fixture
def crm(
    airflow_home: object, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> OAuthTestServer:
    set_connection("crm", oauth_server.connection())
    return oauth_server


def fire(trigger: BaseTrigger) -> Any:
    """The payload of the first event, after a way through the form in which Airflow stores a trigger."""
    path, stored = trigger.serialize()
    assert resolve_name(path) is type(trigger)
    again = type(trigger)(**json.loads(json.dumps(stored)))

    async def first() -> TriggerEvent:
        events: AsyncIterator[TriggerEvent] = again.run()
        return await anext(events)

    return asyncio.run(first()).payload


def next_page(response: Any) -> dict[str, Any] | None:
    page = response.json()["meta"]
    if page["page"] >= page["pages"]:
        return None
    return {"data": {"page": page["page"] + 1}}


def names_in(responses: Any) -> int:
    return sum(len(response.json()["data"]) for response in responses)


FIRST = {"country": "NO", "per_page": 25, "page": 1}


def make_paging_operator(**how: Any) -> OAuth2HttpOperator:
    return OAuth2HttpOperator(
        task_id="pages",
        endpoint="/page/airports",
        data=FIRST,
        pagination_function=next_page,
        response_check=lambda responses: len(responses) > 1,
        response_filter=names_in,
        **how,
    )


@pytest.mark.no_cover
@pytest.mark.parametrize("deferrable", [False, True])
def test_the_operator_calls_pages_checks_and_filters(
    run_dag: RunDag, crm: OAuthTestServer, deferrable: bool
) -> None:
    how: dict[str, Any] = {"http_conn_id": "crm", "method": "GET", "deferrable": deferrable}
    with DAG(f"operator_{deferrable}", schedule=None) as dag:
        OAuth2HttpOperator(task_id="text", endpoint="/airports/EDDF", **how)
        if not deferrable:  # dag.test forgets the arguments that a task asks to be resumed with
            make_paging_operator(**how)
        OAuth2HttpOperator(task_id="missing", endpoint="/nonsense", retries=3, **how)
        OAuth2HttpOperator(
            task_id="missing_but_fine",
            endpoint="/nonsense",
            extra_options={"check_response": False},
            response_filter=lambda response: response.status_code,
            **how,
        )
    run = run_dag(dag)
    assert "EDDF" in str(run.result("text"))
    assert deferrable or run.result("pages") > 25
    assert (run.task_state("missing"), run.tries("missing")) == ("failed", 1)
    assert run.result("missing_but_fine") == 404
    sent = [request.headers for request in crm.requests if request.path == "/airports/EDDF"]
    assert all(headers["Authorization"].startswith("Bearer ") for headers in sent)
    assert not any("secret" in str(headers).lower() for headers in sent)
    assert crm.counters.token_requests == 1


def test_a_deferred_operator_defers_once_per_page(crm: OAuthTestServer) -> None:
    operator = make_paging_operator(http_conn_id="crm", method="GET", deferrable=True)
    deferred, result, times = deferral(lambda: operator.execute({})), None, 0
    while isinstance(deferred, TaskDeferred):
        times += 1
        kwargs = {"event": fire(deferred.trigger), **(deferred.kwargs or {})}
        stored = json.loads(json.dumps(kwargs))
        deferred = deferral(partial(operator.execute_complete, {}, **stored))
        result = deferred
    assert times > 1
    assert result == rows_in_all()


def deferral(step: Callable[[], Any]) -> Any:
    """The deferral that ``step`` ends in, or what it returns."""
    try:
        return step()
    except TaskDeferred as deferred:
        return deferred


def rows_in_all() -> int:
    """Rows of all pages, by one request."""
    with open_session("crm") as session:
        whole = session.get("/page/airports?country=NO&per_page=1000")
        return len(whole.json()["data"])


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_sensor_waits_while_the_status_means_not_yet(
    run_dag: RunDag, crm: OAuthTestServer, deferrable: bool
) -> None:
    crm.fault("/countries", status=404, times=2)
    how: dict[str, Any] = {"http_conn_id": "crm", "deferrable": deferrable, "poke_interval": 0.05}
    with DAG(f"sensor_{deferrable}", schedule=None) as dag:
        waits = OAuth2HttpSensor(task_id="waits", endpoint="/countries", **how)
        checks = OAuth2HttpSensor(
            task_id="checks",
            endpoint="/airports/EDDF",
            response_check=lambda response, ti: response.json()["icao"] == "EDDF" and bool(ti),
            **how,
        )
        strict = OAuth2HttpSensor(
            task_id="strict", endpoint="/nonsense", response_error_codes_allowlist=[], **how
        )
        waits >> checks >> strict
    run = run_dag(dag)
    assert [run.task_state(task_id) for task_id in ("waits", "checks", "strict")] == [
        "success",
        "success",
        "failed",
    ]
    asked = [request.status for request in crm.requests if request.path == "/countries"]
    assert asked == [404, 404, 200]


def test_a_trigger_and_its_event_hold_no_secret_and_no_token(crm: OAuthTestServer) -> None:
    trigger = OAuth2HttpTrigger(http_conn_id="crm", method="GET", endpoint="/countries")
    event = fire(trigger)
    assert response_from_event(event).json()["data"]
    stored = str(trigger.serialize()) + json.dumps(event)
    issued = [*crm.state.list_issued(), crm.client_secret]
    assert len(issued) > 1
    assert [secret for secret in issued if secret in stored] == []
    assert trigger.serialize()[1]["http_conn_id"] == "crm"


def test_extra_never_becomes_headers_and_an_api_key_in_the_query_is_not_in_the_event(
    crm: OAuthTestServer, set_connection: SetConnection
) -> None:
    static = {
        "auth_type": "api_key",
        "password": "static-api-key",
        "api_key_name": "k",
        "api_key_in": "query",
        "token_url": None,
        "scope": None,
    }
    base = f"{crm.base_url}/with/api_key"
    set_connection("keyed", crm.connection(host=base, **static))
    event = fire(
        OAuth2HttpTrigger(
            http_conn_id="keyed",
            method="GET",
            endpoint="/countries",
            extra_options={"check_response": False},
        )
    )
    (asked,) = [request for request in crm.requests if request.path.endswith("/countries")]
    assert asked.params["k"] == "static-api-key"
    assert not {"Password", "Auth_type", "Api_key_name"} & set(asked.headers)
    assert "static-api-key" not in json.dumps(event)


def test_a_token_that_the_api_repeats_in_headers_is_not_in_the_event(
    crm: OAuthTestServer, set_connection: SetConnection
) -> None:
    place = {"password": "static+api/key", "api_key_name": "k", "api_key_in": "query"}
    unused = {"token_url": None, "scope": None}
    set_connection("keyed", crm.connection(auth_type="api_key", **place, **unused))
    moved = {"Location": "/b?k=static%2Bapi%2Fkey", "X-Asked": "/a?k=static+api/key"}
    linked = {"Link": '</b?k=static%2Bapi%2Fkey&page=2>; rel="next"', "X-Total": "2"}
    crm.fault("/a", status=302, headers=moved)
    crm.fault("/b", status=200, headers=linked, body="[]")
    event = fire(OAuth2HttpTrigger(http_conn_id="keyed", method="GET", endpoint="/a"))
    response = response_from_event(event)
    assert response.headers["Link"] == '</b?k=***&page=2>; rel="next"'
    assert response.headers["X-Total"] == "2"
    (hop,) = response.history
    assert (hop.headers["Location"], hop.headers["X-Asked"]) == ("/b?k=***", "/a?k=***")
    assert "static" not in json.dumps(event)


def test_a_posted_body_and_options_go_out_as_with_the_sync_operator(crm: OAuthTestServer) -> None:
    trigger = OAuth2HttpTrigger(
        http_conn_id="crm",
        method="post",
        endpoint="/echo",
        headers={"X-Mine": "1"},
        request_kwargs={"json": {"a": [1, None]}},
        extra_options={"timeout": 5, "verify": False, "check_response": False},
    )
    fire(trigger)
    asked = crm.requests[-1]
    assert (asked.method, json.loads(asked.body)) == ("POST", {"a": [1, None]})
    assert asked.headers["X-Mine"] == "1"
    form = OAuth2HttpTrigger(
        http_conn_id="crm",
        method="PUT",
        endpoint="/echo",
        data={"a": "1"},
        extra_options={"check_response": False},
    )
    fire(form)
    assert crm.requests[-1].form == {"a": "1"}
    head = OAuth2HttpTrigger(
        http_conn_id="crm", method="HEAD", endpoint="/countries", data={"a": 1}
    )
    assert fire(head)["status"] == "success"
    assert crm.requests[-1].query == ()


def raise_after_event(trigger: BaseTrigger) -> OAuthTaskflowError:
    """Returns the error that a task raises after ``trigger`` has fired."""
    event = fire(trigger)
    with pytest.raises(OAuthTaskflowError) as caught:
        raise_failure(json.loads(json.dumps(event)))
    assert str(caught.value) == event["message"]
    return caught.value


@pytest.mark.parametrize(
    ("endpoint", "conn_id", "kind"),
    [
        ("/nonsense", "crm", ApiRequestFailed),
        ("https://evil.test/x", "crm", ForeignOriginRefused),
        ("/countries", "wrong", InvalidClient),
        ("/countries", "nowhere", ConnectionConfigError),
    ],
)
def test_typed_errors_cross_from_the_triggerer_to_the_task(
    crm: OAuthTestServer, set_connection: SetConnection, endpoint: str, conn_id: str, kind: object
) -> None:
    set_connection("wrong", crm.connection(password="not-the-secret"))
    for trigger in (
        OAuth2HttpTrigger(http_conn_id=conn_id, method="GET", endpoint=endpoint),
        OAuth2HttpSensorTrigger(http_conn_id=conn_id, endpoint=endpoint, not_yet=()),
    ):
        error = raise_after_event(trigger)
        assert type(error) is kind
        assert not error.retryable
        assert "not-the-secret" not in str(error)


def test_a_long_wait_becomes_the_tasks_retry_delay(crm: OAuthTestServer) -> None:
    crm.fault("/countries", status=429, headers={"Retry-After": "3600"})
    error = raise_after_event(
        OAuth2HttpTrigger(http_conn_id="crm", method="GET", endpoint="/countries")
    )
    assert (error.retryable, error.retry_after) == (True, 3600.0)


def test_an_answer_that_holds_the_token_is_refused_before_it_is_stored(
    crm: OAuthTestServer,
) -> None:
    event = fire(OAuth2HttpTrigger(http_conn_id="crm", method="GET", endpoint="/echo"))
    with pytest.raises(ResultRefused, match="a token or secret of a connection"):
        raise_failure(event)


@pytest.mark.parametrize("name", ["OAuth2HttpTrigger", "OAuth2HttpSensorTrigger"])
def test_triggers_are_stored_under_the_class_path_that_earlier_releases_have(
    crm: OAuthTestServer, name: str
) -> None:
    stored = resolve_name(f"oauth_taskflow.taskflow.triggers.{name}")
    trigger = stored(http_conn_id="crm", method="GET", endpoint="/countries")
    assert trigger.serialize()[0] == f"oauth_taskflow.taskflow.triggers.{name}"
    assert fire(trigger)["status"] == "success"
    assert [request.path for request in crm.requests][-1] == "/countries"


def test_a_sensor_without_status_check_accepts_any_response(crm: OAuthTestServer) -> None:
    event = fire(
        OAuth2HttpSensorTrigger(
            http_conn_id="crm",
            endpoint="/nonsense",
            extra_options={"check_response": False},
        )
    )
    assert event == {"status": "success"}


@pytest.mark.parametrize(
    ("status", "listed", "waits"),
    [
        (404, ["404"], True),
        (404, ["404:Not Found"], True),
        (404, [], False),
        (503, ["404", "503"], True),
        (None, ["404"], False),
        (40, ["404"], False),
    ],
)
def test_listed_statuses_mean_not_yet(status: int | None, listed: list[str], waits: bool) -> None:
    assert is_not_yet(status, listed) is waits


@pytest.mark.skipif(not HAS_RETRY_POLICIES, reason="retry policies came with 3.3")
def test_a_retry_policy_chosen_by_the_author_is_kept() -> None:
    own = OAuthRetryPolicy()
    operator = OAuth2HttpOperator(task_id="a", endpoint="/x", retry_policy=own)
    sensor = OAuth2HttpSensor(task_id="b", endpoint="/x", retry_policy=own)
    assert operator.retry_policy is sensor.retry_policy is own
    assert operator.http_conn_id == sensor.http_conn_id == "oauth2_default"
    assert isinstance(OAuth2HttpSensor(task_id="c", endpoint="/x").retry_policy, OAuthRetryPolicy)


def test_a_deferrable_sensor_does_not_defer_when_the_first_call_succeeds(
    crm: OAuthTestServer,
) -> None:
    sensor = OAuth2HttpSensor(
        task_id="there", http_conn_id="crm", endpoint="/countries", deferrable=True
    )
    assert deferral(lambda: sensor.execute({})) is None
    crm.fault("/countries", status=404)
    deferred = deferral(lambda: sensor.execute({}))
    assert isinstance(deferred.trigger, OAuth2HttpSensorTrigger)
    assert deferred.timeout.total_seconds() == sensor.timeout
