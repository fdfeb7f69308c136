"""One DAG file for a folder of specs."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.serialized_objects import DagSerialization

from oauth_taskflow import load_specs
from oauth_taskflow.errors import SpecError
from oauth_taskflow.specs import dag_index, search
from oauth_taskflow.specs.yaml_reader import load_text
from oauth_taskflow.taskflow import config
from oauth_taskflow.taskflow.dags import factory
from oauth_taskflow.taskflow.dags.broken_spec import BrokenSpecDag
from oauth_taskflow.taskflow.dags.task_doc import describe_endpoint
from tests.taskflow.dags.specs_folder import write_spec

LOADER = """\
from oauth_taskflow import load_specs  # airflow dag

load_specs(globals(), "dag_specs/")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``dag_specs/`` with a loader and two good specs."""
    specs = tmp_path / "dag_specs"
    specs.mkdir()
    (specs / "dags.py").write_text(LOADER)
    write_spec(specs, "crm")
    write_spec(specs, "erp")
    return specs


def bag(folder: Path) -> BundleDagBag:
    return BundleDagBag(folder, bundle_path=folder, bundle_name="test")


def namespace(folder: Path) -> dict[str, Any]:
    return {"__file__": str(folder / "dags.py")}


def broken_specs(found: dict[str, Any]) -> list[BrokenSpecDag]:
    return [value for value in found.values() if isinstance(value, BrokenSpecDag)]


def test_airflow_finds_one_dag_per_spec(folder: Path, airflow_home: Path) -> None:
    found = bag(folder)
    assert sorted(found.dags) == ["crm", "erp"]
    assert found.import_errors == {}
    # What *Code* shows, and what tasks are started from.
    assert found.dags["crm"].fileloc == str(folder / "crm.yaml")
    assert found.dags["crm"].relative_fileloc == "dags.py"


def test_a_broken_spec_leaves_the_others_alive_and_is_an_import_error(
    folder: Path, airflow_home: Path
) -> None:
    broken = write_spec(folder, "broken")
    broken.write_text(broken.read_text().replace("request: {path: /countries}", "reqest: {}"))
    (folder / "unreadable.yaml").write_text("a: [\n")
    found = bag(folder)
    assert sorted(found.dags) == ["crm", "erp"]
    # Under the specs' own names: under dags.py they would take its good DAGs out of scheduling.
    assert sorted(found.import_errors) == ["broken.yaml", "unreadable.yaml"]
    message = found.import_errors["broken.yaml"]
    assert f"{broken}:13:5: error: endpoints.countries" in message
    assert "Did you mean 'request'?" in message
    assert f"{folder / 'unreadable.yaml'}:" in found.import_errors["unreadable.yaml"]


def test_a_broken_spec_outside_the_bundle_is_filed_under_its_whole_path(
    folder: Path, tmp_path: Path, airflow_home: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "bad.yaml").write_text("version: 1\n")
    (folder / "dags.py").write_text(LOADER.replace("dag_specs/", str(elsewhere)))
    assert list(bag(folder).import_errors) == [str(elsewhere / "bad.yaml")]


def test_two_specs_of_one_dag_id_are_refused_and_the_rest_loads(
    folder: Path, airflow_home: Path
) -> None:
    write_spec(folder, "crm", name="second")
    found = bag(folder)
    assert "erp" in found.dags
    assert any("crm" in message for message in found.import_errors.values())


def test_a_task_run_builds_the_wanted_dag_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(folder, "hidden", name="named_otherwise")
    (folder / "broken.yaml").write_text("dag_id: [\n")
    for dag_id in ("crm", "hidden"):
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", dag_id)
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "countries")
        found = namespace(folder)
        assert [dag.dag_id for dag in load_specs(found, folder)] == [dag_id]
        assert broken_specs(found) == []


def test_a_wanted_dag_whose_spec_broke_since_is_reported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "crm.yaml"
    path.write_text(path.read_text().replace("version: 1", "version: 9"))
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "crm")
    found = namespace(folder)
    assert load_specs(found, ".") == []
    with pytest.raises(SpecError, match=r"crm\.yaml:1:10"):
        broken_specs(found)[0].validate()


def test_a_wanted_dag_of_another_dag_file_is_not_built(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "somebody_elses")
    found = namespace(folder)
    assert load_specs(found, ".") == []
    assert broken_specs(found) == []


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("dag_id: hidden", "hidden.yml"),
        ("dag_id: hidden", "deep/er.yaml"),
        ("'dag_id' : \"hidden\"", "a.yaml"),
        ("dag_id: &id hidden  # why", "a.yaml"),
        ("dag_id: >-\n  hidden", "a.yaml"),
        ("dag_id: |-\n  hidden", "a.yaml"),
        ("dag_id: !!str hidden", "a.yaml"),
        ('dag_id: "hid\\x64en"', "a.yaml"),
        ("? dag_id\n: hidden", "a.yaml"),
        ("description: &id hidden\ndag_id: *id", "a.yaml"),
        ('"dag\\x5fid": hidden\ndescription: "a\n\n  dag_id: other"', "a.yaml"),
        ("dag_id: hidden", "A.YAML"),
    ],
)
def test_a_wanted_dag_is_found_however_its_id_is_written_and_its_file_called(
    folder: Path, monkeypatch: pytest.MonkeyPatch, written: str, name: str
) -> None:
    text = write_spec(folder, "hidden").read_text()
    (folder / "hidden.yaml").unlink()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text.replace("dag_id: hidden", written))
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "hidden")
    assert [dag.dag_id for dag in load_specs(namespace(folder), ".")] == ["hidden"]


def test_a_wanted_dag_is_found_in_a_spec_written_as_json(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_text((folder / "erp.yaml").read_text(), "erp.yaml").data
    (folder / "erp.yaml").unlink()
    (folder / "some.yaml").write_text(json.dumps(data, indent=2))
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "erp")
    assert [dag.dag_id for dag in load_specs(namespace(folder), ".")] == ["erp"]


def test_the_wanted_dag_is_found_next_to_a_namesake_and_a_broken_spec(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(folder, "crm-eu", name="crm")
    (folder / "broken.yaml").write_text("version: 9\nparams: {dag_id: crm}\n")
    write_spec(folder, "crm", name="really")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "crm")
    found = namespace(folder)
    assert [dag.dag_id for dag in load_specs(found, ".")] == ["crm"]
    assert broken_specs(found) == []


def test_a_wanted_dag_is_found_in_an_indented_document(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (folder / "erp.yaml").read_text()
    (folder / "erp.yaml").unlink()
    (folder / "some.yaml").write_text("".join(f"  {line}\n" for line in text.splitlines()))
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "erp")
    assert [dag.dag_id for dag in load_specs(namespace(folder), ".")] == ["erp"]


@pytest.mark.parametrize(
    "names",
    [
        ["crm.yaml", "a.yaml"],
        ["crm.yaml", "a/crm.yaml"],
        ["crm.yaml", "crm.yml"],
        ["crm.yml", "crm.YAML"],
        ["b/crm.yaml", "a.yaml"],
        ["z.yaml", "a/b.yaml"],
        ["a.yaml", "b.yaml"],
    ],
)
def test_two_specs_with_one_dag_id_schedule_and_run_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    text = write_spec(tmp_path, "crm").read_text()
    (tmp_path / "crm.yaml").unlink()
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("version: 1", f"version: 1\ndescription: {name}"))
    (scheduled,) = load_specs(namespace(tmp_path), ".")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "crm")
    (run,) = load_specs(namespace(tmp_path), ".")
    assert scheduled.description == run.description == names[0]


def test_specs_behind_links_to_folders_load_once_and_loops_end(
    folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_spec(elsewhere, "linked")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "again").symlink_to(elsewhere)
    (folder / "inside").mkdir()
    (folder / "inside" / "up").symlink_to(folder)
    (elsewhere / "back").symlink_to(tmp_path)
    found = namespace(folder)
    assert sorted(dag.dag_id for dag in load_specs(found, ".")) == ["crm", "erp", "linked"]
    assert broken_specs(found) == []


def test_the_case_of_a_files_ending_does_not_matter(folder: Path) -> None:
    write_spec(folder, "shouting").rename(folder / "SHOUTING.YAML")
    assert sorted(dag.dag_id for dag in load_specs(namespace(folder), ".")) == [
        *("crm", "erp", "shouting")
    ]


@pytest.mark.parametrize("running", [True, False])
def test_the_garbage_collector_is_left_as_it_was(folder: Path, running: bool) -> None:
    if not running:
        gc.disable()
    try:
        load_specs(namespace(folder), ".")
        assert gc.isenabled() is running
    finally:
        gc.enable()


def test_objects_that_were_frozen_before_stay_frozen(folder: Path) -> None:
    gc.freeze()  # as a server does before it forks
    try:
        frozen = gc.get_freeze_count()
        load_specs(namespace(folder), ".")
        # Some of them may be freed meanwhile; thawed, none would be left.
        assert gc.get_freeze_count() > frozen // 2 > 0
    finally:
        gc.unfreeze()


def test_dags_and_what_they_are_made_of_can_be_collected_later(folder: Path) -> None:
    kept = weakref.ref(load_specs(namespace(folder), ".")[0])
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert kept() is None


def test_the_folder_is_found_next_to_the_dag_file_or_above_it(folder: Path) -> None:
    for given in (".", "dag_specs", "dag_specs/", str(folder), folder):
        assert len(load_specs(namespace(folder), given)) == 2


def test_a_folder_that_does_not_exist_is_named_with_the_places_looked_at(folder: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_specs(namespace(folder), "nowhere")
    message = str(caught.value)
    assert "The spec folder 'nowhere' does not exist; looked at " in message
    assert str(folder / "nowhere") in message


def test_a_file_in_place_of_the_folder_is_named(folder: Path) -> None:
    write_spec(folder, "one")
    with pytest.raises(SpecError, match=r"load_specs takes a folder, and .*one\.yaml is a file"):
        load_specs(namespace(folder), f"{folder}/one.yaml")


def test_shards_load_every_dag_once_and_report_every_problem_once(
    folder: Path, airflow_home: Path
) -> None:
    for number in range(12):
        write_spec(folder, f"source_{number}")
    write_spec(folder, "twin").write_text((folder / "crm.yaml").read_text())
    (folder / "broken.yaml").write_text("a: [\n")
    (folder / "dags.py").unlink()
    for number in range(3):
        loader = LOADER.replace('"dag_specs/"', f'"dag_specs/", shard=({number}, 3)')
        (folder / f"dags_{number}.py").write_text(loader)
    bags = [bag(folder / f"dags_{number}.py") for number in range(3)]
    found = [dag_id for each in bags for dag_id in each.dags]
    assert sorted(found) == sorted({"crm", "erp", *(f"source_{n}" for n in range(12))})
    assert all(each.dags for each in bags)
    names = [Path(path).name for each in bags for path in each.import_errors]
    assert sorted(names) == ["broken.yaml", "twin.yaml"]


def test_specs_that_collide_across_shards_are_reported(folder: Path) -> None:
    for number in range(8):
        path = write_spec(folder, f"source_{number}")
        path.write_text(path.read_text().replace("{{ dag_id }}", "one"))
    found: dict[str, Any] = namespace(folder)
    loaded = [dag for n in range(4) for dag in load_specs(found, folder, shard=(n, 4))]
    assert len(loaded) + len(broken_specs(found)) == 10
    assert len(broken_specs(found)) == len(load_errors(folder)) > 0


def load_errors(folder: Path) -> list[BrokenSpecDag]:
    found = namespace(folder)
    load_specs(found, folder)
    return broken_specs(found)


def test_a_wanted_dag_is_built_in_whatever_shard_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "crm")
    for number in range(2):
        dags = load_specs(namespace(folder), folder, shard=(number, 2))
        assert [dag.dag_id for dag in dags] == ["crm"]


def test_a_share_that_does_not_exist_is_an_error(folder: Path) -> None:
    with pytest.raises(SpecError, match="There is no shard"):
        load_specs(namespace(folder), folder, shard=(2, 2))


def test_specs_are_kept_where_the_configuration_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__SPEC_CACHE", str(tmp_path / "cache"))
    first = load_specs(namespace(folder), folder)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    monkeypatch.setattr(
        "oauth_taskflow.specs.check.check_text", lambda *_: pytest.fail("parsed again")
    )
    again = load_specs(namespace(folder), folder)
    one, two = ([DagSerialization.to_dict(dag) for dag in each] for each in (first, again))
    assert one == two


def test_a_task_finds_its_dag_where_loading_all_has_seen_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_index, "FEW_FILES", 1)
    monkeypatch.setattr(config, "_airflow_home", lambda: tmp_path)
    (folder / "crm.yaml").rename(folder / "other.yaml")
    load_specs(namespace(folder), folder)
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "crm")
    monkeypatch.setattr(search, "list_folders", lambda _: pytest.fail("listed"))
    assert [dag.dag_id for dag in load_specs(namespace(folder), folder)] == ["crm"]


def test_a_kept_spec_brings_the_documentation_of_its_tasks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_spec(folder, "with_file")
    contract = "  records: data\n  contract: {columns: freeze, schema: {file: crm.json}}\n"
    path.write_text(path.read_text().replace("  records: data\n", contract))
    (folder / "crm.json").write_text('{"type": "object", "properties": {"a": {"type": "string"}}}')
    monkeypatch.setenv("AIRFLOW__OAUTH_TASKFLOW__SPEC_CACHE", str(tmp_path / "cache"))
    first = {dag.dag_id: dag for dag in load_specs(namespace(folder), folder)}
    described: list[Any] = []

    def note(options: Any, connection: str | None) -> str:
        described.append(options)
        return describe_endpoint(options, connection)

    monkeypatch.setattr(factory, "describe_endpoint", note)
    (folder / "crm.json").write_text('{"type": "object", "properties": {"b": {"type": "string"}}}')
    again = {dag.dag_id: dag for dag in load_specs(namespace(folder), folder)}
    # A schema file may change while its spec does not: such an endpoint is described again.
    assert len(described) == sum("contract" in options for options in described) > 0
    one, two = (dags["crm"].get_task("countries").doc_md for dags in (first, again))
    assert one == two
    texts = [dags["with_file"].get_task("countries").doc_md for dags in (first, again)]
    assert texts[0] != texts[1]
