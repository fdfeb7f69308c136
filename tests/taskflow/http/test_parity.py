"""Airflow's ``HttpOperator`` and ``HttpHook`` compared with ours: the same arguments, different only in authentication.

The calls are those in the manual of the HTTP provider
(https://airflow.apache.org/docs/apache-airflow-providers-http/stable/operators.html), and one for every other argument.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import tenacity
from airflow.providers.http.hooks.http import HttpHook
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk.bases.sensor import PokeReturnValue
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from oauth_taskflow import OAuth2Hook, OAuth2HttpOperator, OAuth2HttpSensor
from oauth_taskflow.api.adapter import BoundedAdapter
from oauth_taskflow.errors import ApiRequestFailed, ResultRefused
from tests.api.scripted import Asked, Reply, ScriptedApi, scripted
from tests.taskflow.conftest import SetConnection

pytestmark = pytest.mark.filterwarnings(
    "ignore::airflow.utils.deprecation_tools.DeprecatedImportWarning"
)
TOKEN = "static-token-of-ours"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Headers that differ on purpose: credentials, client name, preference for JSON.
OURS = {"authorization", "user-agent", "accept", "accept-encoding", "host", "connection"}


def httpbin(asked: Asked) -> Any:
    """Echoes the request, as the server in the manual's examples does."""
    if asked.path == "/pages":
        position = int(asked.query.get("cursor") or 0)
        return {"rows": [position], "cursor": position + 1 if position < 2 else None}
    if asked.path == "/latin":
        return Reply("grün".encode("latin-1"), headers={"Content-Type": "text/plain"})
    if asked.path == "/utf8":
        return Reply(json.dumps({"a": "é"}, ensure_ascii=False).encode())
    if asked.path == "/moved":
        return Reply({}, 302, {"Location": "/get"})
    if asked.path == "/missing":
        return Reply({"detail": "no such thing"}, 404)
    said = (
        json.loads(asked.body) if asked.headers.get("Content-Type") == JSON["Content-Type"] else 0
    )
    return {"method": asked.method, "args": asked.query, "json": said, "body": asked.body.decode()}


@pytest.fixture
def api(airflow_home: object, set_connection: SetConnection) -> Iterator[ScriptedApi]:
    with scripted(httpbin) as started:
        set_connection("stock", {"conn_type": "http", "host": started.url})
        ours = {"conn_type": "oauth2", "host": started.url, "password": TOKEN}
        set_connection("ours", {**ours, "extra": {"auth_type": "bearer"}})
        yield started


def run_with_deferrals(operator: Any) -> Any:
    """Runs ``operator`` with all its deferrals, through the JSON that Airflow stores, and returns the result."""
    try:
        return operator.execute({})
    except TaskDeferred as asked:
        deferred: TaskDeferred | None = asked
    while deferred is not None:
        _, stored = deferred.trigger.serialize()
        trigger = type(deferred.trigger)(**json.loads(json.dumps(stored)))
        event = asyncio.run(anext(trigger.run())).payload
        kwargs = json.loads(json.dumps({"event": event, **(deferred.kwargs or {})}))
        try:
            return getattr(operator, deferred.method_name)({}, **kwargs)
        except TaskDeferred as again:
            deferred = again
    raise AssertionError


def take_requests(api: ScriptedApi) -> list[Any]:
    """Returns the requests since the last call, without the headers that differ on purpose."""
    asked = [
        (
            one.method,
            one.target,
            one.body,
            {k.lower(): v for k, v in one.headers.items() if k.lower() not in OURS},
        )
        for one in api.asked
    ]
    api.asked.clear()
    return asked


def outcome(make: Callable[[], Any], api: ScriptedApi) -> tuple[Any, list[Any]]:
    try:
        result = run_with_deferrals(make())
    except AirflowException as error:
        result = ("refused", str(error) if "check" in str(error) else "")
    except (ApiRequestFailed, requests.TooManyRedirects):
        result = ("refused", "")
    return result, take_requests(api)


def next_cursor(response: Any) -> dict[str, Any] | None:
    following = response.json().get("cursor")
    return {"data": {"cursor": following}, "headers": {"X-Page": "more"}} if following else None


CALLS: dict[str, dict[str, Any]] = {
    "post": {
        "endpoint": "post",
        "data": json.dumps({"priority": 5}),
        "headers": JSON,
        "response_check": lambda response: response.json()["json"]["priority"] == 5,
    },
    "post_check_fails": {"endpoint": "post", "response_check": lambda response: not response},
    "post_form": {"endpoint": "post", "data": "name=Joe", "headers": FORM},
    "get": {
        "method": "GET",
        "endpoint": "get",
        "data": {"param1": "value1", "param2": ["a", "b"], "none": None},
        "headers": {},
    },
    "get_text_query": {"method": "GET", "endpoint": "/get?a=1", "data": "b=2&c=%20"},
    "get_pairs": {"method": "GET", "endpoint": "get", "data": [("a", "1"), ("a", "2")]},
    "get_filter": {
        "method": "GET",
        "endpoint": "get",
        "data": {"page_token": "abc"},  # no secret, whatever its name
        "response_filter": lambda response: (response.json()["method"], response.url),
    },
    "put": {"method": "PUT", "endpoint": "put", "data": json.dumps({"a": 5}), "headers": JSON},
    "delete": {"method": "DELETE", "endpoint": "delete", "data": "some=data", "headers": FORM},
    "patch_form": {"method": "patch", "endpoint": "patch", "data": {"a": "ü", "b": ["1", "2"]}},
    "post_pairs": {"endpoint": "post", "data": [("a", "1"), ("a", "2")]},
    "head": {"method": "HEAD", "endpoint": "get", "data": {"left": "out"}},
    "options": {"method": "PUT", "endpoint": "", "extra_options": {"timeout": (2, 5)}},
    "json": {"endpoint": "post", "request_kwargs": {"json": {"a": [1, None]}}},
    "params": {"endpoint": "post", "request_kwargs": {"params": {"p": 1}, "cookies": {"c": "1"}}},
    "pages": {
        "method": "GET",
        "endpoint": "pages",
        "data": {"cursor": "", "size": 1},
        "headers": {"X-Mine": "1"},
        "pagination_function": next_cursor,
        "response_check": lambda responses: len(responses) == 3,
        "response_filter": lambda responses: [r.json()["rows"] for r in responses],
    },
    "pages_text": {"method": "GET", "endpoint": "pages", "pagination_function": next_cursor},
    "latin": {"method": "GET", "endpoint": "latin", "log_response": True},
    "utf8": {"method": "GET", "endpoint": "utf8"},
    "moved": {
        "method": "GET",
        "endpoint": "moved",
        "response_filter": lambda r: (r.url, [h.status_code for h in r.history], r.reason, r.ok),
    },
    "not_moved": {
        "method": "GET",
        "endpoint": "moved",
        "extra_options": {"allow_redirects": False},
        "response_filter": lambda r: (r.status_code, r.headers["Location"], r.is_redirect),
    },
    "too_often_moved": {
        "method": "GET",
        "endpoint": "moved",
        "extra_options": {"max_redirects": 0},
        "response_filter": lambda r: r.status_code,
    },
    "missing": {"method": "GET", "endpoint": "missing"},
    "missing_unchecked": {
        "method": "GET",
        "endpoint": "missing",
        "extra_options": {"check_response": False},
        "response_filter": lambda r: (r.status_code, r.text, r.encoding, len(r.content)),
    },
    "retried": {
        "method": "GET",
        "endpoint": "get",
        "retry_args": {"stop": tenacity.stop_after_attempt(2), "reraise": True},
    },
}


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_a_swapped_operator_sends_and_returns_the_same(
    api: ScriptedApi, name: str, deferrable: bool
) -> None:
    call = {"task_id": name, **CALLS[name]}
    theirs = outcome(lambda: HttpOperator(http_conn_id="stock", **call), api)
    ours = outcome(
        lambda: OAuth2HttpOperator(http_conn_id="ours", deferrable=deferrable, **call), api
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(HttpHook, OAuth2Hook), (HttpOperator, OAuth2HttpOperator), (HttpSensor, OAuth2HttpSensor)],
)
def test_every_argument_of_the_http_provider_is_accepted(theirs: type, ours: type) -> None:
    asked = dict(inspect.signature(theirs).parameters)
    asked.pop("kwargs", None)
    values = {
        name: 1 if "keep_alive" in name else parameter.default
        for name, parameter in asked.items()
        if parameter.default is not parameter.empty
    }
    required = {"endpoint": "/x"} if "endpoint" in asked else {}
    names = {"task_id": "t"} if theirs is not HttpHook else {}
    made, stock = (
        kind(**{**values, **required, **names, "http_conn_id": "c"}) for kind in (ours, theirs)
    )
    same = [name for name in asked if hasattr(stock, name)]
    assert [getattr(made, name) for name in same] == [getattr(stock, name) for name in same]
    assert getattr(ours, "template_fields", ()) == getattr(theirs, "template_fields", ())


def test_the_hook_accepts_positional_arguments_too() -> None:
    hook = OAuth2Hook("get", "crm", None, False)
    assert (hook.method, hook.http_conn_id, hook.keep_alive_adapter) == ("GET", "crm", None)


def test_connections_are_kept_alive_as_with_the_hook_of_airflow(api: ScriptedApi) -> None:
    def read_options(hook: HttpHook) -> list[tuple[int, int, int]]:
        with hook.get_conn() as session:
            manager = session.get_adapter(api.url).poolmanager  # type: ignore[attr-defined]
            return list(manager.connection_pool_kw.get("socket_options", ()))

    for arguments in ({}, {"tcp_keep_alive_idle": 7}, {"tcp_keep_alive": False}):
        asked = read_options(HttpHook("GET", "stock", **arguments))
        assert read_options(OAuth2Hook("GET", "ours", **arguments)) == asked
        assert bool(asked) == arguments.get("tcp_keep_alive", True)
    session = OAuth2Hook("GET", "ours").get_conn()
    assert isinstance(session.get_adapter(api.url), BoundedAdapter)


@pytest.mark.parametrize("hook", [HttpHook("GET", "stock"), OAuth2Hook("GET", "ours")])
def test_existing_except_clauses_around_the_hook_still_catch_its_errors(
    api: ScriptedApi, hook: HttpHook
) -> None:
    with pytest.raises(AirflowException, match="404"):
        hook.run("/missing")
    again = {"stop": tenacity.stop_after_attempt(3), "wait": tenacity.wait_none(), "reraise": True}
    retried = tenacity.retry_if_exception_type(AirflowException)
    with pytest.raises(AirflowException):
        hook.run_with_advanced_retry({**again, "retry": retried}, "/missing")
    assert len(api.asked) == 4


def test_a_sensor_pushes_no_token(api: ScriptedApi) -> None:
    sensor = OAuth2HttpSensor(
        task_id="s",
        http_conn_id="ours",
        endpoint="get",
        response_check=lambda response: PokeReturnValue(
            is_done=True, xcom_value=response.request.headers["Authorization"]
        ),
    )
    with pytest.raises(ResultRefused):
        sensor.execute({})
