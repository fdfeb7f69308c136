"""Results that a task may not pass on, and failures that are retried: one real run for each question."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import attrs
import pytest
from airflow.sdk import DAG, Asset, Metadata
from msgspec import Struct
from pydantic import BaseModel

from oauth_taskflow import OAuth2HttpOperator, secret_registry
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import ResultRefused, TokenEndpointUnavailable
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.taskflow.decorator import oauth_task
from oauth_taskflow.taskflow.xcom_guard import guard_pushes, reject_secrets
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import RunDag, SetConnection

HINT = (
    "XCom stores values in clear text: return the data, and let the next task open its own session."
)
SECRET = "s3cret-token-of-a-test"


@dataclass
class Row:
    """A record with one field."""

    value: Any


class StructRow(Struct):
    """The same as msgspec has it."""

    value: Any


@attrs.define
class AttrsRow:
    """The same as attrs has it."""

    value: Any


class PydanticRow(BaseModel):
    """The same as pydantic has it."""

    value: Any


@pytest.fixture
def known_secret(monkeypatch: pytest.MonkeyPatch) -> str:
    """A masked secret that other tests do not see."""
    monkeypatch.setattr(secret_registry, "_known", type(secret_registry._known)())
    secret_registry.add([SECRET, "short-pw", "tiny"])
    return SECRET


def token_of(session: OAuthSession) -> str:
    header = session.get("/echo").json()["headers"]["Authorization"]
    return str(header).removeprefix("Bearer ")


@oauth_task(conn_id="crm")
def hands_on(session: OAuthSession, what: str, ti: Any = None) -> Any:
    if what == "push":
        ti.xcom_push("mine", {"deep": [token_of(session)]})
    if what == "push data":
        ti.xcom_push("mine", "data")
    made: dict[str, Callable[[], Any]] = {
        "session": lambda: session,
        "response": lambda: {"a": [session.get("/echo")]},
        "token": lambda: token_of(session),
        "header": lambda: ["x", ("Bearer " + token_of(session),)],
        "auth": lambda: {"auth": session.auth},
        "pages": lambda: session.paginate("/page/airports", records="data"),
    }
    return made.get(what, lambda: "fine")()


@pytest.mark.no_cover
@pytest.mark.airflow
def test_sessions_and_tokens_are_refused_as_results_and_pushes(
    run_dag: RunDag, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    errors: dict[str, BaseException] = {}

    def collect(context: Any) -> None:
        errors[context["ti"].task_id] = context["exception"]

    with DAG("refused", schedule=None, default_args={"on_failure_callback": collect}) as dag:
        for what in (
            "session",
            "response",
            "token",
            "header",
            "auth",
            "pages",
            "push",
            "push data",
        ):
            hands_on.override(task_id=what.replace(" ", "_"), retries=2)(what)

    run = run_dag(dag)

    assert run.state == "failed"
    assert {name: str(error) for name, error in errors.items()} == {
        "session": f"The result holds an authenticated session of task 'session'. {HINT}",
        "response": "The result holds a response, whose request carries the token of task 'response' at ['a'][0]. "
        + HINT,
        "token": f"The result holds a token or secret of a connection of task 'token'. {HINT}",
        "header": f"The result holds a token or secret of a connection of task 'header' at [1][0]. {HINT}",
        "auth": f"The result holds an auth object of task 'auth' at ['auth']. {HINT}",
        "pages": "An unread generator is the result of task 'pages'. Return list(…) of it; write large "
        "data to a file and return its path.",
        "push": "The result holds a token or secret of a connection of task 'push' for XCom key 'mine' at ['deep'][0]. "
        + HINT,
    }
    assert all(isinstance(error, ResultRefused) for error in errors.values())
    assert run.tries("session") == 1  # retrying cannot help
    assert run.result("token") is None
    assert run.result("push", key="mine") is None
    assert run.result("push_data") == "fine"
    assert run.result("push_data", key="mine") == "data"


LAKE = Asset("lake")


@pytest.mark.airflow
# HttpOperator itself uses a name that Airflow 3.3 deprecates.
@pytest.mark.filterwarnings("ignore::airflow.utils.deprecation_tools.DeprecatedImportWarning")
def test_an_asset_event_with_a_token_fails_the_task_and_is_not_stored(
    run_dag: RunDag, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    errors: dict[str, str] = {}

    def collect(context: Any) -> None:
        errors[context["ti"].task_id] = str(context["exception"])

    how: dict[str, Any] = {"outlets": [LAKE], "on_failure_callback": collect, "retries": 2}

    @oauth_task(conn_id="crm", **how)
    def sets(session: OAuthSession, outlet_events: Any = None) -> None:
        outlet_events[LAKE].extra = {"rows": 7, "sent": [token_of(session)]}

    @oauth_task(conn_id="crm", **how)
    def yields(session: OAuthSession) -> Iterator[Metadata]:
        yield Metadata(LAKE, {"rows": 7, "sent": [token_of(session)]})

    @oauth_task(conn_id="crm", outlets=[LAKE])
    def counts(session: OAuthSession) -> Iterator[Metadata]:
        yield Metadata(LAKE, {"rows": len(session.get("/countries").json()["data"])})

    with DAG("events", schedule=None) as dag:
        sets()
        yields()
        counts()
        OAuth2HttpOperator(
            task_id="filters",
            http_conn_id="crm",
            endpoint="/echo",
            method="GET",
            response_filter=lambda answer, outlet_events: outlet_events[LAKE].extra.update(
                {"sent": [answer.request.headers["Authorization"]]}
            ),
            **how,
        )
    run = run_dag(dag)
    assert errors == {
        name: f"The asset event holds a token or secret of a connection of task '{name}' for 'lake' at "
        ".extra['sent'][0]. Airflow stores it in clear text: keep only data, and let the next task open its own session."
        for name in ("sets", "yields", "filters")
    }
    assert (run.task_state("counts"), run.tries("sets")) == ("success", 1)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (SECRET, ""),
        (f"Bearer {SECRET}", ""),
        (SECRET.encode(), ""),
        ({"a": {"b": [1, None, SECRET]}}, " at ['a']['b'][2]"),
        ({SECRET: 1}, " at [key]"),
        ({(1, 2): SECRET}, " at […]"),
        (deque([SECRET]), " at [0]"),
        ({SECRET}, " at [0]"),
        (Row({"x": SECRET}), " at .value['x']"),
        (StructRow({"x": SECRET}), " at .value['x']"),
        (AttrsRow({"x": SECRET}), " at .value['x']"),
        (PydanticRow(value={"x": SECRET}), " at .value['x']"),
        ("short-pw", ""),
        ("czNjcmV0LXRva2VuLW9mLWEtdGVzdA==", ""),
    ],
)
def test_secrets_are_found_in_every_kind_of_container(
    known_secret: str, value: Any, path: str
) -> None:
    with pytest.raises(ResultRefused) as caught:
        reject_secrets(value, "of task 'x'")
    assert str(caught.value) == (
        f"The result holds a token or secret of a connection of task 'x'{path}. {HINT}"
    )
    assert known_secret not in str(caught.value)


def test_a_token_object_is_refused_whatever_it_holds() -> None:
    with pytest.raises(ResultRefused, match=r"The result holds a token of task 'x' at \[0\]\."):
        reject_secrets([Token("unknown", 0.0)], "of task 'x'")


def test_ordinary_data_passes_as_the_same_object(known_secret: str) -> None:
    loop: list[Any] = ["tiny", "a short-pw inside a sentence", 1.5, True, None, Row(Row), range(3)]
    loop.append(loop)
    assert reject_secrets(loop, "of task 'x'") is loop


def test_asynchronous_pushes_are_guarded_too_and_the_guard_goes_away(known_secret: str) -> None:
    pushed: list[Any] = []

    class TaskInstance:
        task_id = "x"

        def xcom_push(self, key: str, value: Any) -> None:
            pushed.append((key, value))

        async def axcom_push(self, key: str, value: Any) -> None:
            pushed.append((key, value))

    ti = TaskInstance()
    with guard_pushes({"ti": ti}, "of task 'x'"):
        asyncio.run(ti.axcom_push("a", "fine"))
        with pytest.raises(ResultRefused, match=r"of task 'x' for XCom key 'b' at \[0\]\."):
            asyncio.run(ti.axcom_push("b", [known_secret]))
    ti.xcom_push("c", known_secret)
    assert pushed == [("a", "fine"), ("c", known_secret)]
    assert vars(ti) == {}


def test_pushes_are_guarded_on_airflow_3_2_too(known_secret: str) -> None:
    class TaskInstance:
        task_id = "x"

        def xcom_push(self, key: str, value: Any) -> None:
            raise AssertionError

    ti = TaskInstance()
    with guard_pushes({"ti": ti}, "of task 'x'"):
        assert list(vars(ti)) == ["xcom_push"]
        with pytest.raises(ResultRefused, match="for XCom key 'a'"):
            ti.xcom_push("a", known_secret)
    assert vars(ti) == {}


class Store:
    """As Airflow 3.3 hands tasks their state, and that of an asset."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def __getitem__(self, asset: Asset) -> Store:
        return self.kept.setdefault(asset.name, Store())  # type: ignore[no-any-return]  # a dict of anything

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self.kept[key] = value, retention


def test_state_of_tasks_and_assets_is_guarded_too(known_secret: str) -> None:
    own, of_assets, asset = Store(), Store(), Asset("crm")
    context = {"task_state_store": own, "asset_state_store": of_assets}
    with guard_pushes({**context, "inlets": [], "outlets": [asset]}, "of task 'x'"):
        own.set("a", 1, retention=timedelta(1))
        of_assets[asset].set("mark", 2)
        for store in (own, of_assets, of_assets[asset]):
            with pytest.raises(ResultRefused) as caught:
                store.set("b", [known_secret])
            assert str(caught.value) == (
                "The state holds a token or secret of a connection of task 'x' for key 'b' at [0]. "
                "Airflow stores it in clear text: keep only data, and let the next task open its own session."
            )
    assert own.kept == {"a": (1, timedelta(1))}
    assert of_assets[asset].kept == {"mark": (2, None)}


def test_values_are_not_searched_while_no_secret_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_registry, "_known", type(secret_registry._known)())
    assert reject_secrets(SECRET, "of task 'x'") == SECRET


def test_memory_for_secrets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_registry, "_known", type(secret_registry._known)())
    monkeypatch.setattr(secret_registry, "_MAX_SECRETS", 2)
    secret_registry.add(["secret-1", "secret-2", "secret-3", "secret-3", ""])
    assert list(secret_registry.list_secrets()) == ["secret-2", "secret-3"]


@oauth_task(conn_id="crm", retries=2)
def calls(session: OAuthSession, path: str) -> int:
    answer = session.get(path)
    answer.raise_for_status()
    return answer.status_code


@oauth_task(conn_id="crm", retries=2, retry_delay=timedelta(hours=1))
def busy_once(session: OAuthSession, ti: Any = None) -> str:
    if ti.try_number == 1:
        raise TokenEndpointUnavailable("Too busy", where="at the moment", retry_after=0.2)
    return session.conn_id


@pytest.mark.airflow
def test_permanent_errors_fail_at_once_and_retry_after_is_the_delay_of_the_next_try(
    run_dag: RunDag, oauth_server: OAuthTestServer, set_connection: SetConnection
) -> None:
    set_connection("crm", oauth_server.connection())
    set_connection("wrong", oauth_server.connection(password="wrong-secret"))
    set_connection("broken", oauth_server.connection(tokn="x"))
    seen: list[tuple[str, str]] = []

    def collect(context: Any) -> None:
        # A callback sees the context afterwards.
        assert not any(isinstance(value, OAuthSession) for value in context.values())
        seen.append((context["ti"].task_id, type(context["exception"]).__name__))

    arguments = {"on_failure_callback": collect}
    with DAG("failures", schedule=None, default_args=arguments) as dag:
        calls.override(task_id="refused_client", conn_id="wrong")("/countries")
        calls.override(task_id="broken_connection", conn_id="broken")("/countries")
        calls.override(task_id="no_connection", conn_id="nowhere")("/countries")
        calls.override(task_id="not_found").expand(path=["/nowhere"])
        busy_once()

    run = run_dag(dag)

    assert run.task_state("busy_once") == "success"
    assert run.tries("busy_once") == 2
    assert sorted(seen) == [
        ("broken_connection", "ConnectionConfigError"),
        ("no_connection", "ConnectionConfigError"),
        ("not_found", "ApiStatusError"),
        ("refused_client", "InvalidClient"),
    ]
    assert run.tries("refused_client") == run.tries("broken_connection") == 1
    assert run.tries("not_found", map_index=0) == 1
