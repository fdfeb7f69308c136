"""DAGs that are copies of one that Airflow made are what Airflow would have made."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Param
from airflow.serialization.serialized_objects import DagSerialization

from oauth_taskflow.destinations import requirements
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.taskflow.dags import factory, operator_copies
from oauth_taskflow.taskflow.dags.dag_copies import DagCopies
from oauth_taskflow.taskflow.dags.factory import fill_dag
from oauth_taskflow.taskflow.dags.spec_dag import SpecDag
from tests.taskflow.dags.specs_folder import write_spec

VALID = sorted((Path(__file__).parents[2] / "specs" / "valid").glob("*.yaml"))
TEXT = """\
version: 1
dag_id: {dag_id}
tags: [a, {dag_id}]
description: About {dag_id}
connection: crm
endpoints:
  a: {{request: {{path: /a}}, destination: {{path: /data/{dag_id}}}}}
"""


def read(text: str) -> Spec:
    spec = check_text(text).spec
    assert spec is not None
    return spec


def make(copies: DagCopies | None, spec: Spec) -> SpecDag:
    return fill_dag(SpecDag, spec, {}, copies)


def serialise(dag: DAG) -> dict[str, Any]:
    """As Airflow stores a DAG, without the file that made it, which Airflow's bag of DAGs replaces."""
    found: dict[str, Any] = DagSerialization.to_dict(dag)["dag"]
    return {name: value for name, value in found.items() if name != "fileloc"}


def is_copied(copies: DagCopies) -> bool:
    return any(original.is_alike for original in copies._originals.values())


def few(copies: DagCopies, *, more: str = "", number: int = 4) -> list[SpecDag]:
    return [make(copies, read(TEXT.format(dag_id=f"d{n}") + more)) for n in range(number)]


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_each_valid_spec_has_the_dag_that_airflow_would_have_made(path: Path) -> None:
    checked = check_text(path.read_text(), str(path)).spec
    assert checked is not None
    copies = DagCopies()
    dags = [make(copies, checked) for _ in range(4)]
    operator_copies._originals.clear()
    operator_copies._mapped_originals.clear()
    expected = make(None, checked)
    serialised = serialise(expected)
    for dag in dags:
        assert vars(dag).keys() == vars(expected).keys()
        assert {name: type(value) for name, value in vars(dag).items()} == {
            name: type(value) for name, value in vars(expected).items()
        }
        assert serialise(dag) == serialised


@pytest.mark.parametrize(
    "more",
    [
        "",
        "start_date: 2026-01-01\n",
        'start_date: 2026-01-01\nschedule: "5 4 * * *"\ntimezone: Europe/Berlin\ncatchup: true\n',
        "start_date: 2026-01-01\nend_date: 2027-01-01\nschedule: PT1H\ndagrun_timeout: PT2H\n",
        "schedule: '@continuous'\nstart_date: 2026-01-01\n",
        "max_active_runs: 3\nmax_active_tasks: 2\nis_paused_upon_creation: true\n",
        "params: {region: eu}\ndefault_args: {owner: data, retries: 2}\n",
    ],
)
def test_dags_of_other_texts_are_copies_too(more: str) -> None:
    copies = DagCopies()
    dags = few(copies, more=more)
    assert is_copied(copies)
    assert [dag.dag_display_name for dag in dags] == ["d0", "d1", "d2", "d3"]
    assert [dag.tags for dag in dags] == [{"a", f"d{n}"} for n in range(4)]
    expected = make(None, read(TEXT.format(dag_id="d3") + more))
    assert serialise(dags[3]) == serialise(expected)
    assert dags[3].get_task("a").dag is dags[3]
    assert dags[3].task_group.dag is dags[3]


def test_a_library_is_looked_for_once_for_all_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(requirements, "find_spec", looked.append)
    copies = DagCopies()
    for number in range(3):
        make(copies, read(TEXT.replace("/data/", "s3://lake/").format(dag_id=f"d{number}")))
    assert looked == ["s3fs"]


def test_copies_share_no_container() -> None:
    copies = DagCopies()
    one, two = few(copies)[2:]
    one.tags.add("x")
    one.params["x"] = Param(1)
    one.edge_info["a"] = {}
    one.default_args["owner"] = "x"
    one.owner_links["x"] = "mailto:x@example.com"
    one.task_group.used_group_ids.add("x")
    one.task_group.children["x"] = one.get_task("a")
    one.task_group.default_args["owner"] = "x"
    group = two.task_group
    assert (group.used_group_ids, [*group.children], group.default_args) == ({"a"}, ["a"], {})
    assert (two.tags, dict(two.params), two.edge_info) == ({"a", "d3"}, {}, {})
    assert (two.default_args, two.owner_links, two.task_ids) == ({}, {}, ["a"])
    (later,) = few(copies, number=1)
    assert (dict(later.params), later.edge_info, later.owner_links) == ({}, {}, {})


@pytest.mark.parametrize("value", ["eu", ["eu", "us"], {"a": {"b": 1}}, None])
def test_each_task_has_params_of_its_own_as_airflow_makes_them(value: Any) -> None:
    more = f"  b: {{request: {{path: /b}}, destination: {{path: /b}}}}\nparams: {{p: {json.dumps(value)}}}\n"
    dag = make(None, read(TEXT.format(dag_id="d") + more))
    tasks: list[Any] = list(dag.tasks)
    one, two = (task.params.get_param("p") for task in tasks)
    expected = vars(Param(value, source="dag"))
    assert (vars(one), vars(two)) == (expected, expected)
    one.schema["type"] = "string"
    if isinstance(value, dict):
        one.value["a"]["b"] = 2
    elif isinstance(value, list):
        one.value.append("x")
    assert vars(two) == expected
    assert vars(dag.params.get_param("p")) == {**expected, "source": None}


def test_a_param_of_another_release_of_airflow_is_copied_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(factory, "_PARAM_STATE", {"value", "description"})
    more = "params: {p: [eu]}\n"
    task: Any = make(None, read(TEXT.format(dag_id="d") + more)).get_task("a")
    assert vars(task.params.get_param("p")) == vars(Param(["eu"], source="dag"))


@pytest.mark.parametrize(
    "more",
    ["owner_links: {data: 'mailto:data@example.com'}\n", "schedule: {assets: [crm/contacts]}\n"],
)
def test_what_has_objects_of_its_own_is_left_to_airflow(more: str) -> None:
    copies = DagCopies()
    assert len(few(copies, more=more)) == 4
    assert not copies._originals


def test_what_airflow_checks_together_is_checked_for_each_combination() -> None:
    copies = DagCopies()
    few(copies, more="schedule: '@daily'\nstart_date: 2026-01-01\n")
    few(copies, more="catchup: true\nschedule: '@hourly'\nstart_date: 2026-01-01\n")
    assert is_copied(copies)
    spec = read(TEXT.format(dag_id="x") + "schedule: '@daily'\nstart_date: 2026-01-01\n")
    made: list[str] = []
    real: Any = DAG.__attrs_post_init__

    def note(self: DAG) -> None:
        made.append(self.dag_id)
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DAG, "__attrs_post_init__", note)
        make(copies, spec)
        assert made == []
        few(copies, more="catchup: true\nschedule: '@daily'\nstart_date: 2026-01-01\n")
    assert made == ["d0"]


def test_a_dag_with_state_of_its_own_is_left_to_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count()
    real: Any = DAG.__attrs_post_init__

    def number(self: Any) -> None:
        real(self)
        self.number = next(numbers)

    monkeypatch.setattr(DAG, "__attrs_post_init__", number)
    copies = DagCopies()
    assert [vars(dag)["number"] for dag in few(copies)] == [0, 1, 2, 3]
    assert not is_copied(copies)


def test_a_patched_dag_is_left_to_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    real = DAG.__init__

    def patched(self: Any, *args: Any, **arguments: Any) -> None:
        real(self, *args, **arguments)
        self.doc_md = f"From {self.dag_id}"

    monkeypatch.setattr(DAG, "__init__", patched)
    copies = DagCopies()
    assert [dag.doc_md for dag in few(copies)] == [f"From d{n}" for n in range(4)]
    assert not copies._originals


def test_overrides_are_left_to_airflow(tmp_path: Path) -> None:
    spec = read(write_spec(tmp_path).read_text())
    dag = fill_dag(SpecDag, spec, {"fail_fast": False, "dag_display_name": "Shown"})
    assert dag.dag_display_name == "Shown"
