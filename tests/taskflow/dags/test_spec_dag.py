"""An error of one spec stays with it, in the functions that Airflow's DAG processor calls."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.dag_processing.processor import (
    DagFileParseRequest,
    DagFileParsingResult,
    _parse_file,
)
from airflow.exceptions import AirflowClusterPolicySkipDag, AirflowClusterPolicyViolation
from airflow.policies import hookimpl
from airflow.sdk import DAG
from airflow.sdk.definitions.timetables.trigger import CronTriggerTimetable
from airflow.settings import get_policy_plugin_manager

from oauth_taskflow import load_specs
from oauth_taskflow.errors import SpecError
from oauth_taskflow.taskflow.dags.broken_spec import BrokenSpecDag
from oauth_taskflow.taskflow.dags.dag_bag import storable
from tests.taskflow.dags.hostile_specs import write_hostile_specs
from tests.taskflow.dags.specs_folder import write_spec


@pytest.fixture
def folder(tmp_path: Path, airflow_home: Path) -> Path:
    """A loader and two good specs."""
    (tmp_path / "dags.py").write_text(
        "from oauth_taskflow import load_specs  # airflow dag\nload_specs(globals(), '.')\n"
    )
    write_spec(tmp_path, "crm", schedule='"@daily"')
    write_spec(tmp_path, "erp")
    return tmp_path


def parse(folder: Path) -> DagFileParsingResult:
    """Parses the loader as the DAG processor's child process does, and returns what is sent to its parent."""
    request = DagFileParseRequest(
        file=str(folder / "dags.py"), bundle_path=folder, bundle_name="test"
    )
    result = _parse_file(request, logging.getLogger("test"))  # type: ignore[arg-type]  # it only logs
    assert result is not None
    return result


def dag_ids(result: DagFileParsingResult) -> list[str]:
    return sorted(dag.dag_id for dag in result.serialized_dags)


class Unregistered(CronTriggerTimetable):
    """A timetable that Airflow cannot serialise: no plugin names it."""


class Policies:
    """Cluster policies of a deployment that concern one DAG."""

    @hookimpl
    def dag_policy(self, dag: Any) -> None:
        if dag.dag_id == "refused":
            raise AirflowClusterPolicyViolation("every DAG needs a tag")
        if dag.dag_id == "skipped":
            raise AirflowClusterPolicySkipDag("not in this deployment")
        if dag.dag_id == "crashing":
            raise ZeroDivisionError
        if dag.dag_id == "unserialisable":
            dag.timetable = Unregistered("@daily", timezone="UTC")


@pytest.fixture
def policies() -> Iterator[None]:
    """The deployment has ``Policies``."""
    manager, plugin = get_policy_plugin_manager(), Policies()
    manager.register(plugin)
    yield
    manager.unregister(plugin)


def test_hostile_specs_have_an_import_error_each_and_the_good_ones_load(folder: Path) -> None:
    hostile = write_hostile_specs(folder / "hostile")
    result = parse(folder)
    assert dag_ids(result) == ["crm", "erp"]
    assert sorted(result.import_errors or {}) == [f"hostile/{name}" for name in hostile]


@pytest.mark.usefixtures("policies")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refused", "AirflowClusterPolicyViolation: every DAG needs a tag"),
        ("crashing", "AirflowClusterPolicyError"),
        ("unserialisable", "Failed to serialize DAG"),
    ],
)
def test_a_later_refusal_by_airflow_is_filed_under_its_spec_only(
    folder: Path, name: str, reason: str
) -> None:
    write_spec(folder, name)
    result = parse(folder)
    assert dag_ids(result) == ["crm", "erp"]
    assert list(result.import_errors or {}) == [f"{name}.yaml"]
    assert reason in (result.import_errors or {})[f"{name}.yaml"]


@pytest.mark.usefixtures("policies")
def test_a_dag_that_a_policy_skips_is_left_out_without_an_error(folder: Path) -> None:
    write_spec(folder, "skipped")
    result = parse(folder)
    assert dag_ids(result) == ["crm", "erp"]
    assert not result.import_errors


def test_a_test_run_starts_tasks_from_the_dag_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DAG, "test", lambda dag, **options: (dag.fileloc, options))
    dag = BundleDagBag(folder, bundle_path=folder, bundle_name="test").dags["crm"]
    assert dag.fileloc == str(folder / "crm.yaml")
    assert dag.test(run_conf={}) == (str(folder / "dags.py"), {"run_conf": {}})


class Panic(BaseException):
    """Raised by extensions written in Rust; not a subclass of Exception."""


class AirflowTaskTimeout(BaseException):
    """Named like the time-out of Airflow that ends the reading of a DAG file."""


def raise_in_zone(monkeypatch: pytest.MonkeyPatch, zone: str, error: BaseException) -> None:
    """Makes the building of a DAG in ``zone`` fail: a spec that passes the check and cannot be built is not known."""
    real = pendulum.timezone

    def timezone(name: Any) -> Any:
        if name == zone:
            raise error
        return real(name)

    monkeypatch.setattr(pendulum, "timezone", timezone)


@pytest.mark.parametrize("error", [RecursionError("too deep"), MemoryError(), Panic("index 7")])
def test_any_exception_while_a_dag_is_built_is_a_problem_of_its_spec(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    path = write_spec(folder, "odd")
    path.write_text(path.read_text().replace("connection:", "timezone: Asia/Tokyo\nconnection:", 1))
    raise_in_zone(monkeypatch, "Asia/Tokyo", error)
    found: dict[str, Any] = {"__file__": str(folder / "dags.py")}
    assert sorted(dag.dag_id for dag in load_specs(found, ".")) == ["crm", "erp"]
    (broken,) = [value for value in found.values() if isinstance(value, BrokenSpecDag)]
    with pytest.raises(
        SpecError, match=rf"odd\.yaml:1:1: .*refuses the DAG: {type(error).__name__}"
    ):
        broken.validate()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), AirflowTaskTimeout()])
def test_an_interrupt_stops_the_loading(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    raise_in_zone(monkeypatch, "UTC", error)
    with pytest.raises(type(error)):
        load_specs({"__file__": str(folder / "dags.py")}, ".")


def test_code_is_the_spec_and_tasks_start_from_the_dag_file(folder: Path) -> None:
    found = {dag.dag_id: dag.data["dag"] for dag in parse(folder).serialized_dags}
    assert {name: data["fileloc"] for name, data in found.items()} == {
        name: str(folder / f"{name}.yaml") for name in ("crm", "erp")
    }
    assert {data["relative_fileloc"] for data in found.values()} == {"dags.py"}


def test_without_a_bag_a_dag_is_validated_and_names_its_dag_file(folder: Path) -> None:
    (dag, _) = load_specs({"__file__": str(folder / "dags.py")}, ".")
    dag.validate()  # type: ignore[no-untyped-call]  # of Airflow
    assert isinstance(dag, DAG)
    assert dag.fileloc != str(folder / "crm.yaml")


def test_an_import_error_is_text_that_every_database_can_store() -> None:
    assert storable("a\0b\udcff") == "a\\0b\\udcff"
    long = storable("ü" * 100_000)
    assert len(long.encode()) < 65_535
    assert long.endswith("run validate-dag-specs for all of it.")


def test_a_file_name_that_is_not_utf_8_does_not_stop_the_others(folder: Path) -> None:
    Path(str(folder / "bad\udcff.yaml")).write_text("version: 1\n")
    result = parse(folder)
    assert dag_ids(result) == ["crm", "erp"]
    assert list(result.import_errors or {}) == ["bad\\udcff.yaml"]
