"""Which tasks use a connection, read from DAGs as Airflow serialises them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.taskflow.grants.usage import DagUse, UsageIndex, list_uses
from tests.support.clock import FakeClock

SPEC = """\
version: 1
dag_id: crm_spec
start_date: 2026-01-01
connection: crm
defaults: {destination: {path: "{{ endpoint }}"}}
endpoints:
  countries:
    request: {path: /countries}
    records: data
  airports:
    for_each: {nation: {endpoint: countries, batch: 60}}
    request: {path: "/countries/{{ nation.code }}/airports"}
    records: data
"""


def serialise(dag: Any) -> Any:
    from airflow.serialization.serialized_objects import DagSerialization  # noqa: PLC0415 - needs its home first

    return DagSerialization.to_dict(dag)["dag"]["tasks"]


def test_tasks_of_specs_are_found_mapped_ones_too(airflow_home: Path, tmp_path: Path) -> None:
    from oauth_taskflow import build_dag  # noqa: PLC0415 - see above

    assert airflow_home.is_dir()
    (tmp_path / "crm.yaml").write_text(SPEC)
    uses = list_uses("crm_spec", serialise(build_dag(tmp_path / "crm.yaml")))
    assert uses["crm"].is_certain
    assert {"countries", "airports"} <= set(uses["crm"].task_ids)


def test_tasks_of_the_decorator_and_our_operators_are_found_templates_not(
    airflow_home: Path,
) -> None:
    from airflow.sdk import DAG  # noqa: PLC0415 - see above

    from oauth_taskflow import OAuth2HttpOperator, OAuthSession, oauth_task  # noqa: PLC0415 - see above

    assert airflow_home.is_dir()
    with DAG("mixed", schedule=None) as dag:

        @oauth_task(conn_id="crm")
        def one(session: OAuthSession) -> None: ...

        @oauth_task(conn_id={"left": "crm", "right": "erp"})
        def two(left: OAuthSession, right: OAuthSession) -> None: ...

        @oauth_task(conn_id="{{ params.which }}")
        def templated(session: OAuthSession) -> None: ...

        @oauth_task(conn_id="mapped")
        def many(number: int, session: OAuthSession) -> None: ...

        one()
        two()
        templated()
        many.expand(number=[1, 2])
        OAuth2HttpOperator(task_id="call", http_conn_id="erp")
    uses = list_uses("mixed", serialise(dag))
    assert uses == {
        "crm": DagUse("mixed", ("one", "two")),
        "erp": DagUse("mixed", ("two", "call")),
        "mapped": DagUse("mixed", ("many",)),
    }


def test_operators_of_others_count_without_certainty() -> None:
    foreign = {
        "__type": "operator",
        "__var": {"task_id": "sql", "conn_id": "db", "_task_module": "x"},
    }
    ours = {"task_id": "pull", "conn_id": "db", "_task_module": "oauth_taskflow.taskflow.decorator"}
    assert list_uses("d", [foreign])["db"] == DagUse("d", ("sql",), is_certain=False)
    assert list_uses("d", [foreign, ours])["db"] == DagUse("d", ("sql", "pull"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["conn_id", "task_id", "__type", "__var", "partial_kwargs"]), inner
        )
    ),
)


@given(_JSON)
def test_any_serialised_form_gives_uses_or_none(tasks: Any) -> None:
    assert isinstance(list_uses("d", tasks), dict)


class Index(UsageIndex):
    """An index whose reading is counted, and can be held up or fail."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.readings = 0
        self.gate = threading.Event()
        self.fails = False

    def read_changes(self) -> None:
        self.readings += 1
        self.gate.wait(10)
        if self.fails:
            raise KeyError
        self._users = {"crm": (DagUse("d", ("t",)),)}


def test_a_slow_first_look_holds_no_caller_up_and_is_taken_once() -> None:
    index = Index(FakeClock())
    assert index.find_users(0.01) == {}
    assert index.find_users(0.01) == {}
    assert not index.is_complete
    index.gate.set()
    with index._lock:  # the reading has ended
        assert index.readings == 1
        assert index.find_users() == {"crm": (DagUse("d", ("t",)),)}


def test_it_looks_again_after_a_while_and_survives_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    index = Index(clock)
    index.gate.set()
    index.fails = True
    index.find_users(5.0)
    assert not index.is_complete
    assert "DAGs could not be searched for connections: KeyError" in caplog.text
    index.fails = False
    clock.advance(11.0)
    assert index.find_users(5.0)["crm"] == (DagUse("d", ("t",)),)
    assert index.readings == 2
