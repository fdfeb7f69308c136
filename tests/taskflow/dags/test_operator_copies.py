"""Operators that are copies of one that Airflow made are what Airflow would have made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, Param, TaskGroup
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import DuplicateTaskIdFound
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow import build_dag
from oauth_taskflow.taskflow.dags import factory, operator_copies
from oauth_taskflow.taskflow.dags.operator_copies import make_mapped, make_operator
from oauth_taskflow.taskflow.dags.operators import (
    EndpointDoneOperator,
    EndpointOperator,
    ParentBatchesOperator,
)
from tests.taskflow.dags.specs_folder import write_spec

ARGUMENTS = {
    "owner": st.sampled_from(["data", "team"]),
    "retries": st.integers(0, 3),
    "retry_delay": st.sampled_from([timedelta(minutes=5), timedelta(hours=1)]),
    "retry_exponential_backoff": st.booleans(),
    "max_retry_delay": st.just(timedelta(hours=2)),
    "execution_timeout": st.just(timedelta(hours=3)),
    "pool": st.sampled_from(["a", "b"]),
    "pool_slots": st.integers(1, 2),
    "queue": st.just("big"),
    "priority_weight": st.integers(-(2**31), 2**31 - 1),
    "depends_on_past": st.booleans(),
    "max_active_tis_per_dag": st.just(4),
    "max_active_tis_per_dagrun": st.just(2),
}


@pytest.fixture(autouse=True)
def originals() -> Iterator[None]:
    operator_copies._originals.clear()
    operator_copies._mapped_originals.clear()
    yield
    operator_copies._originals.clear()
    operator_copies._mapped_originals.clear()


def own(number: int) -> dict[str, Any]:
    return {
        "task_id": f"t{number}",
        "for_each": {"c": {"endpoint": f"p{number}"}},
        "parent_task_ids": {"p": f"p{number}"},
    }


def a_dag(**arguments: Any) -> DAG:
    return DAG(
        "d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), **arguments
    )


def is_copied() -> bool:
    return any(original.is_alike for original in operator_copies._originals.values())


@given(shared=st.fixed_dictionaries({}, optional=ARGUMENTS))
def test_a_copy_is_what_airflow_would_have_made(shared: dict[str, Any]) -> None:
    operator_copies._originals.clear()
    with a_dag() as copied:
        for number in range(4):
            make_operator(ParentBatchesOperator, shared, own(number))
    with a_dag() as made:
        for number in range(4):
            ParentBatchesOperator(**shared, **own(number))
    assert is_copied()
    for one, two in zip(copied.tasks, made.tasks, strict=True):
        values, expected = vars(one), vars(two)
        assert values.keys() == expected.keys()
        differing = {name for name in values if values[name] != expected[name]}
        assert differing <= {"_dag", "task_group", "_BaseOperator__init_kwargs", "retry_policy"}
        assert one.dag is copied
    assert (
        DagSerialization.to_dict(copied)["dag"]["tasks"]
        == DagSerialization.to_dict(made)["dag"]["tasks"]
    )


def test_a_dag_of_copies_serialises_as_one_that_airflow_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_spec(tmp_path)
    path.write_text(
        path.read_text().replace("connection: crm", "connection: crm\nparams: {region: eu}")
    )
    copied = [DagSerialization.to_dict(build_dag(path)) for _ in range(3)]
    assert is_copied()
    monkeypatch.setattr(factory, "make_operator", lambda kind, one, two: kind(**one, **two))
    assert copied == [DagSerialization.to_dict(build_dag(path))] * 3


def test_copies_share_no_container() -> None:
    with a_dag() as dag:
        for number in range(4):
            make_operator(ParentBatchesOperator, {}, own(number))
    vars(dag.tasks[3])["on_failure_callback"].append(print)
    dag.tasks[3].params["x"] = Param(1)
    dag.tasks[2] >> dag.tasks[3]
    with a_dag() as later:
        make_operator(ParentBatchesOperator, {}, own(9))
    assert dag.tasks[2].on_failure_callback == later.tasks[0].on_failure_callback == []
    assert dict(later.tasks[0].params) == {}
    assert later.tasks[0].upstream_task_ids == later.tasks[0].downstream_task_ids == set()


def test_an_id_that_is_taken_is_refused() -> None:
    with a_dag():
        for number in range(3):
            make_operator(ParentBatchesOperator, {}, own(number))
        with pytest.raises(DuplicateTaskIdFound):
            make_operator(ParentBatchesOperator, {}, own(2))


@pytest.mark.parametrize(
    "arguments",
    [{"default_args": {"owner": "x"}}, {"params": {"region": "eu"}}],
    ids=["default_args", "params"],
)
def test_what_a_dag_hands_to_its_tasks_is_left_to_airflow(arguments: dict[str, Any]) -> None:
    with a_dag(**arguments) as dag:
        for number in range(4):
            make_operator(ParentBatchesOperator, {}, own(number))
    assert not operator_copies._originals
    assert dag.tasks[3].owner == arguments.get("default_args", {}).get("owner", "airflow")
    assert dict(dag.tasks[3].params) == arguments.get("params", {})


def test_a_task_group_is_left_to_airflow() -> None:
    with a_dag() as dag, TaskGroup("g"):
        for number in range(4):
            make_operator(ParentBatchesOperator, {}, own(number))
    assert not operator_copies._originals
    assert dag.task_ids == ["g.t0", "g.t1", "g.t2", "g.t3"]


def test_a_patched_operator_is_left_to_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    real = BaseOperator.__init__

    def patched(self: Any, **arguments: Any) -> None:
        real(self, **arguments)
        self.queue = f"queue_of_{arguments['task_id']}"

    monkeypatch.setattr(BaseOperator, "__init__", patched)
    with a_dag() as dag:
        for number in range(4):
            make_operator(ParentBatchesOperator, {}, own(number))
    assert [task.queue for task in dag.tasks] == [f"queue_of_t{n}" for n in range(4)]


def test_an_operator_with_state_of_its_own_is_left_to_airflow() -> None:
    class Counting(ParentBatchesOperator):
        made = 0

        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            Counting.made += 1
            self.number = Counting.made

    class Keeping(ParentBatchesOperator):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.kept = object()

    with a_dag() as dag:
        for number in range(4):
            make_operator(Counting, {}, own(number))
            make_operator(Keeping, {}, {**own(number), "task_id": f"k{number}"})
    assert [task.number for task in dag.tasks if isinstance(task, Counting)] == [1, 2, 3, 4]
    assert len({id(task.kept) for task in dag.tasks if isinstance(task, Keeping)}) == 4


def test_many_sets_of_arguments_keep_few_originals() -> None:
    with a_dag():
        for number in range(2 * operator_copies._MOST):
            make_operator(ParentBatchesOperator, {"priority_weight": number}, own(number))
    assert len(operator_copies._originals) == operator_copies._MOST


def test_a_done_operator_keeps_its_trigger_rule() -> None:
    options = {"endpoint_name": "e", "endpoint": {}, "instances_task_id": "e", "outlets": []}
    with a_dag() as dag:
        for number in range(4):
            make_operator(EndpointDoneOperator, {}, {**options, "task_id": f"t{number}"})
    assert is_copied()
    assert {task.trigger_rule for task in dag.tasks} == {"none_failed"}


def test_a_set_up_block_is_left_to_airflow() -> None:
    with a_dag() as dag:
        with_setup = ParentBatchesOperator(**own(0)).as_setup()  # type: ignore[no-untyped-call]  # of Airflow
        with with_setup:
            for number in range(1, 5):
                make_operator(ParentBatchesOperator, {}, own(number))
    assert not operator_copies._originals
    assert with_setup.downstream_task_ids == {f"t{n}" for n in range(1, 5)}
    assert len(dag.tasks) == 5


def own_mapped(number: int) -> dict[str, Any]:
    return {
        "task_id": f"m{number}",
        "endpoint_name": f"e{number}",
        "endpoint": {"request": {"path": f"/{number}"}},
        "conn_id": "crm",
        "default_params": {},
    }


def map_four(*, copied: bool, shared: dict[str, Any]) -> DAG:
    """Four tasks that are mapped over lists, and four over the result of another task."""
    with a_dag() as dag:
        for number in range(4):
            before = ParentBatchesOperator(**own(number))
            values: dict[str, Any] = {"list": [{"a": number}, {"b": 2}], "result": before.output}
            for name, over in values.items():
                arguments = {**own_mapped(number), "task_id": f"{name}{number}"}
                if copied:
                    made = make_mapped(EndpointOperator, shared, arguments, {"item": over})
                else:
                    made = EndpointOperator.partial(**shared, **arguments).expand(item=over)
                if name == "result":
                    before.set_downstream(made)
    return dag


@given(shared=st.fixed_dictionaries({}, optional=ARGUMENTS))
def test_a_mapped_copy_is_what_airflow_would_have_made(shared: dict[str, Any]) -> None:
    operator_copies._mapped_originals.clear()
    copied, made = (map_four(copied=each, shared=shared) for each in (True, False))
    assert [each.is_alike for each in operator_copies._mapped_originals.values()] == [True, True]
    assert copied.task_ids == made.task_ids
    for one, two in zip(copied.tasks, made.tasks, strict=True):
        if isinstance(one, MappedOperator):
            assert isinstance(two, MappedOperator)
            values, expected = map(operator_copies._mapped_state, (one, two))
            assert values.keys() == expected.keys()
            # Airflow's objects of one DAG compare each other in circles.
            names = values.keys() - {"dag", "task_group", "expand_input"}
            assert {n: values[n] for n in names} == {n: expected[n] for n in names}
            assert one.dag is copied
            assert one.task_group is not None
            assert one.task_group.dag is copied
            assert type(one.task_group) is type(two.task_group)
    assert (
        DagSerialization.to_dict(copied)["dag"]["tasks"]
        == DagSerialization.to_dict(made)["dag"]["tasks"]
    )


def test_mapped_copies_share_no_container() -> None:
    dag = map_four(copied=True, shared={})
    one, two = (dag.get_task(f"list{number}") for number in (2, 3))
    assert isinstance(one, MappedOperator)
    assert isinstance(two, MappedOperator)
    one.partial_kwargs["on_failure_callback"].append(print)
    one.params["x"] = Param(1)
    one.upstream_task_ids.add("x")
    assert two.partial_kwargs["on_failure_callback"] == []
    assert (dict(two.params), two.upstream_task_ids) == ({}, set())


def test_an_id_of_a_mapped_task_that_is_taken_is_refused() -> None:
    with a_dag():
        for number in range(3):
            make_mapped(EndpointOperator, {}, own_mapped(number), {"item": [1]})
        with pytest.raises(DuplicateTaskIdFound):
            make_mapped(EndpointOperator, {}, own_mapped(1), {"item": [1]})


def test_where_airflow_does_more_with_a_new_task_its_own_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = DAG.add_task

    def more(self: DAG, task: Any) -> None:
        real(self, task)
        self.edge_info[task.task_id] = {}

    monkeypatch.setattr(DAG, "add_task", more)
    with a_dag() as dag:
        for number in range(4):
            make_operator(ParentBatchesOperator, {}, own(number))
            make_mapped(EndpointOperator, {}, own_mapped(number), {"item": [1]})
    assert sorted(dag.edge_info) == sorted(dag.task_ids)
    assert not is_copied()


def test_a_dag_that_fails_fast_refuses_the_trigger_rule_of_a_copy() -> None:
    options = {"endpoint_name": "e", "endpoint": {}, "instances_task_id": "e", "outlets": []}
    with a_dag():
        for number in range(3):
            make_operator(EndpointDoneOperator, {}, {**options, "task_id": f"t{number}"})
    assert is_copied()
    with a_dag(fail_fast=True), pytest.raises(Exception, match="fail_fast"):
        make_operator(EndpointDoneOperator, {}, {**options, "task_id": "t9"})
