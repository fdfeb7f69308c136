"""What ``@oauth_task`` says about a function when the DAG file is read."""

from __future__ import annotations

import copy
import inspect
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk import task as airflow_task

from oauth_taskflow.taskflow.decorator import oauth_task
from oauth_taskflow.taskflow.injection import hide_session_parameters, session_parameters


def no_session(x: int) -> None: ...


def with_default(session: Any = None) -> None: ...


def with_args(session: Any, *values: int) -> None: ...


def positional_only(x: int, /, session: Any) -> None: ...


def context_key(ti: Any) -> None: ...


def good(session: Any, x: int, y: int = 2) -> dict[str, int]:
    """The author's own words."""
    return {"x": x, "y": y}


async def yields(session: Any) -> Any:
    yield session


class Thing:
    def method(self, session: Any) -> None: ...

    def __call__(self, session: Any) -> None: ...


ASYNC = (
    "it is an async generator, which Airflow does not run. "
    "Return the result at the end instead of yielding it."
)
PLAIN = "it is not a plain function. Write it with def at the top of the DAG file."
REFUSED: list[tuple[Callable[..., Any], str, str]] = [
    (
        no_session,
        "no_session",
        "it has no parameter named 'session'. Add it, as in def f(session: OAuthSession).",
    ),
    (
        with_default,
        "with_default",
        "'session' has a default, which would never be used. Remove the default.",
    ),
    (with_args, "with_args", "it takes *values. Name each argument."),
    (
        positional_only,
        "positional_only",
        "'x' is positional-only. Remove the slash from the signature.",
    ),
    (yields, "yields", ASYNC),
    (
        Thing.method,
        "Thing.method",
        "it is a method. Decorate a function: a method cannot be a task.",
    ),
    (Thing(), "Thing", PLAIN),
    (partial(good, x=1), "partial", PLAIN),
]


@pytest.mark.parametrize(("function", "name", "problem"), REFUSED)
def test_a_function_that_cannot_take_a_session_is_refused_when_the_file_is_read(
    function: Callable[..., Any], name: str, problem: str
) -> None:
    with pytest.raises(TypeError) as caught:
        oauth_task(conn_id="crm")(function)
    assert str(caught.value) == f"@oauth_task cannot wrap {name}(): {problem}"


def test_a_session_parameter_may_not_be_a_context_key() -> None:
    with pytest.raises(TypeError) as caught:
        oauth_task(conn_id={"ti": "crm"})(context_key)
    assert str(caught.value) == (
        "@oauth_task cannot wrap context_key(): 'ti' is a key of Airflow's context. Give the parameter another name."
    )


def test_the_replacement_is_the_function_without_its_session_parameter() -> None:
    facade = hide_session_parameters(good, ("session",))
    assert str(inspect.signature(facade)) == "(x: 'int', y: 'int' = 2) -> 'dict[str, int]'"
    assert (facade.__name__, facade.__doc__) == ("good", "The author's own words.")
    assert session_parameters(facade) == ("session",)
    assert hide_session_parameters(facade, ("session",)) is facade
    assert copy.deepcopy(facade) is facade


def test_the_replacement_cannot_be_called_outside_a_task() -> None:
    with pytest.raises(RuntimeError, match="runs inside a task only; call it within a DAG"):
        hide_session_parameters(good, ("session",))(1)


def test_wrong_arguments_are_found_when_the_file_is_read() -> None:
    task: Any = oauth_task(conn_id="crm")(good)
    with DAG("calls", schedule=None):
        with pytest.raises(TypeError, match="missing a required argument: 'x'"):
            task()
        with pytest.raises(TypeError, match="got an unexpected keyword argument 'session'"):
            task(1, session="mine")
        with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
            task.partial(z=1)


@pytest.mark.parametrize(
    ("conn_id", "named"),
    [({"other": "crm"}, "other"), ({"session": "a", "more": "b"}, "session, more")],
)
def test_an_override_must_fill_the_same_parameters(conn_id: Mapping[str, str], named: str) -> None:
    task: Any = oauth_task(conn_id="crm")(good)
    with DAG("overrides", schedule=None), pytest.raises(TypeError) as caught:
        task.override(conn_id=conn_id)(1)
    assert str(caught.value) == (
        f"Task 'good' fills the session parameters session, but its conn_id names {named}. Give conn_id in the same "
        "form as the decorator has it."
    )


def test_an_empty_mapping_of_connections_is_refused() -> None:
    with pytest.raises(TypeError, match=r"conn_id names no connection\. Write it as in conn_id="):
        oauth_task(conn_id={})


@pytest.mark.parametrize("conn_id", [None, 5, ["crm"], {"session": None}])
def test_a_conn_id_that_is_not_an_id_is_refused_when_the_file_is_read(conn_id: Any) -> None:
    with pytest.raises(
        TypeError, match=r"is not the id of a connection\. Write it as in conn_id='crm'"
    ):
        oauth_task(conn_id=conn_id)


def test_a_second_task_decorator_is_refused() -> None:
    for task in (oauth_task(conn_id="crm")(good), airflow_task(good)):
        with pytest.raises(TypeError) as caught:
            oauth_task(conn_id="crm")(task)
        assert str(caught.value) == (
            "@oauth_task cannot wrap good(): it is a task already. Keep one task decorator: @oauth_task, with conn_id."
        )


def test_the_bare_decorator_uses_the_default_connection() -> None:
    task: Any = oauth_task(good)
    with DAG("bare", schedule=None) as dag:
        task(1)
    operator: Any = dag.get_task("good")
    assert operator.conn_id == "oauth2_default"
    assert operator.doc_md == "The author's own words."
    assert operator.multiple_outputs  # inferred from the annotation, as with @task


def test_reading_a_dag_file_loads_neither_requests_nor_a_token_store() -> None:
    code = (
        "import sys\n"
        "from airflow.sdk import DAG\n"
        "before = set(sys.modules)\n"
        "from oauth_taskflow import oauth_task\n"
        "@oauth_task(conn_id='crm')\n"
        "def f(session): ...\n"
        "with DAG('d', schedule=None): f()\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new & {'requests', 'urllib3', 'aiohttp'}))\n"
        "print([name for name in sys.modules if name.startswith(('oauth_taskflow.api', 'oauth_taskflow.tokens'))])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-2:] == ["[]", "[]"]
