"""Rejected records in their own folder, and at the first file destination of several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.contracts.options import Contract, GivenSchema
from oauth_taskflow.destinations.base import Run, StoreAccess, Writer
from oauth_taskflow.destinations.files import FileDestination, FolderDestination
from oauth_taskflow.destinations.local_folder import LocalAttempt
from oauth_taskflow.destinations.quarantine_options import QuarantineOptions
from oauth_taskflow.engine.outputs import connect_output
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import scripted
from tests.engine.yaml_run import utc
from tests.support.auth import bearer_auth


def build(folder: Path, **more: Any) -> Endpoint:
    return Endpoint(
        request=Request(path="/items"),
        contract=Contract(types="discard_row", schema=GivenSchema(fields={"id": "integer"})),
        destination=FileDestination(path=str(folder / "out")),
        quarantine=QuarantineOptions(path=str(folder / "{{ endpoint }}_rejected")),
        **more,
    )


def build_run(endpoint: Endpoint, **more: Any) -> EndpointRun:
    return EndpointRun(
        name="items",
        endpoint=endpoint,
        run_id="r",
        template_context={"endpoint": "items"},
        interval=Interval(None, utc(2026, 1, 1)),
        access=StoreAccess(lambda path, _conn_id: Path(path)),
        **more,
    )


def pull(endpoint: Endpoint, records: list[Any], **more: Any) -> EndpointSummary:
    with scripted(lambda _: records) as api, OAuthSession(api.url, bearer_auth("t")) as session:
        return run_endpoint(build_run(endpoint, **more), session)


def read_rejected(folder: Path) -> tuple[dict[str, Any], list[Any]]:
    at = folder / "items_rejected" / "run_id=r"
    lines = (at / "part-00000.jsonl").read_bytes().splitlines()
    records = [json.loads(line)["record"] for line in lines]
    return json.loads((at / "_manifest.json").read_bytes()), records


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_its_own_has_an_output_for_each_run(tmp_path: Path) -> None:
    summary = pull(build(tmp_path), [{"id": 1}, {"id": "x"}])
    manifest, records = read_rejected(tmp_path)
    assert (summary.rows, summary.rejected, manifest["rows"]) == (1, 1, 1)
    assert records == [{"id": "x"}]
    assert summary.quarantine == str(tmp_path / "items_rejected" / "run_id=r" / "_manifest.json")
    assert not {"watermarks", "schema", "rejected"} & set(manifest)
    assert names(tmp_path / "out" / "run_id=r") == ["_manifest.json", "part-00000.jsonl"]
    pull(build(tmp_path), [{"id": 1}])
    assert read_rejected(tmp_path)[1] == []


def test_who_chooses_the_place_of_files_has_the_rejected_ones_there(tmp_path: Path) -> None:
    summary = pull(build(tmp_path), [{"id": "x"}], location=str(tmp_path / "here"))
    assert summary.quarantine is None
    assert names(tmp_path) == ["here"]
    assert "_rejected-00000.jsonl" in names(tmp_path / "here")


def test_of_several_destinations_the_first_has_the_rejected_ones(tmp_path: Path) -> None:
    places = [FileDestination(path=str(tmp_path / name)) for name in ("a", "b")]
    endpoint = replace(build(tmp_path), destination=None, destinations=places, quarantine=None)
    assert pull(endpoint, [{"id": 1}, {"id": "x"}]).rejected == 1
    assert "_rejected-00000.jsonl" in names(tmp_path / "a" / "run_id=r")
    assert names(tmp_path / "b" / "run_id=r") == ["_manifest.json", "part-00000.jsonl"]


def test_a_run_that_fails_leaves_nothing_in_either_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, run: Run) -> Writer:
        if "out" in str(self._location):
            raise DestinationError("no room")
        return real(self, run)

    real = FolderDestination.open
    monkeypatch.setattr(FolderDestination, "open", refuse)
    with pytest.raises(DestinationError, match="no room"):
        pull(build(tmp_path), [{"id": "x"}])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def refuse_commit(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Lets the commit to this folder fail."""

    def refuse(self: Any, manifest: bytes, names: Any) -> None:
        if self._folder.is_relative_to(folder):
            raise DestinationError("no room")
        real(self, manifest, names)

    real = LocalAttempt.publish
    monkeypatch.setattr(LocalAttempt, "publish", refuse)


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_commit_of_rejected_records_that_fails_leaves_nothing_in_either_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_commit(monkeypatch, tmp_path / "items_rejected")
    with pytest.raises(DestinationError, match="no room"):
        pull(build(tmp_path), [{"id": 1}, {"id": "x"}])
    assert list_files(tmp_path) == []


def test_a_commit_that_fails_leaves_the_rejected_records_that_came_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_commit(monkeypatch, tmp_path / "out")
    with pytest.raises(DestinationError, match="no room"):
        pull(build(tmp_path), [{"id": 1}, {"id": "x"}])
    assert list_files(tmp_path / "out") == []
    assert read_rejected(tmp_path)[1] == [{"id": "x"}]


def test_the_destination_speaks_for_both(tmp_path: Path) -> None:
    run = build_run(build(tmp_path))
    summary = pull(run.endpoint, [{"id": 1}, {"id": "x"}])
    destination = connect_output(run)
    place = destination.locate_manifest(Run("items", "r"))
    assert place.path == summary.manifest
    found = destination.read_manifest(place.path)
    assert found is not None
    assert found["rows"] == 1
    assert list(destination.read(summary.files[0].path, 0, 9)) == [{"id": 1}]
    assert destination.remove_stale({}) == 1
    assert read_rejected(tmp_path)[1] == [{"id": "x"}]
