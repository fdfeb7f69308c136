"""Stores that refuse, slow down, hang up or lose an answer midway: whole output or none, and one clear error."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.partitioned_writer import PartitionedDestination
from oauth_taskflow.destinations.partitions import FieldPartition
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import DestinationError
from tests.destinations.attempts import RUN, AttemptProcess, list_ours, read_committed, records
from tests.stores import opener
from tests.stores.faulty_proxy import FaultyProxy, faulty
from tests.stores.opener import AZURE_URL, S3_URL

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

OPENER = "tests.stores.opener"
FOLDER = "oauth_taskflow.destinations.object_folder"
SIZE = 50


@pytest.fixture
def proxy(place: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy in front of the store of ``place``; what is opened in the test goes through it."""
    name = S3_URL if place.startswith("s3") else AZURE_URL
    with faulty(os.environ[name]) as server:
        monkeypatch.setenv(name, server.url)
        yield server


def write(folder: Any, tag: str, rows: int, **options: Any) -> list[str]:
    pages = [Page([record], 1, "", 0) for record in records(tag, rows)]
    destination = FolderDestination(folder, target_part_size=SIZE, **options)
    return list(transfer(pages, destination, RUN).files)


@pytest.mark.parametrize("fault", ["503", "lost", "slow", "answer lost"])
def test_a_store_that_fails_now_and_then_gets_everything_once(
    place: str, proxy: FaultyProxy, fault: str
) -> None:
    folder = opener.open_folder(place)
    write(folder, "old", 3)
    proxy.fault = lambda number, _method, _path: fault if number % 5 == 1 else None
    names = write(folder, "new", 4)
    proxy.fault = lambda *_: None
    assert read_committed(folder) == records("new", 4)
    assert list_ours(folder) == ["_manifest.json", *sorted(names)]


def test_requests_that_the_store_takes_after_the_client_gave_up_leave_everything_once(
    place: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience: dict[str, Any] = {"read_timeout": 5}
    options = {"config_kwargs": patience} if place.startswith("s3") else patience
    # adlfs does not hand it on to the upload of blocks.
    azure = pytest.importorskip("azure.storage.blob._shared.base_client_async")
    monkeypatch.setattr(azure, "READ_TIMEOUT", patience["read_timeout"])
    folder = opener.open_folder(place, **options)
    write(folder, "old", 3)
    late: list[str] = []

    def delay(_number: int, method: str, path: str) -> str | None:
        name = next((one for one in ("part-00001", "_manifest.json") if one in path), "")
        if method != "PUT" or not name or name in late:
            return None
        late.append(name)
        return "late"

    proxy.fault = delay
    names = write(folder, "new", 4)
    proxy.fault = lambda *_: None
    assert late == ["part-00001", "_manifest.json"]
    assert read_committed(folder) == records("new", 4)
    assert list_ours(folder) == ["_manifest.json", *sorted(names)]


def is_part(_number: int, method: str, path: str) -> str | None:
    return "403" if method == "PUT" and "part-00001-" in path else None


def is_manifest(_number: int, method: str, path: str) -> str | None:
    return "403" if method == "PUT" and "_manifest" in path else None


def is_removal(_number: int, method: str, path: str) -> str | None:
    return "403" if method == "DELETE" or (method == "POST" and "delete" in path) else None


def is_any_write(_number: int, method: str, _path: str) -> str | None:
    return "403" if method in {"PUT", "POST"} else None


def test_a_store_that_refuses_to_remove_says_that_the_output_is_there(
    place: str, proxy: FaultyProxy
) -> None:
    folder = opener.open_folder(place)
    write(folder, "old", 3)
    proxy.fault = is_removal
    with pytest.raises(
        DestinationError, match=r"^The output was committed, but objects of earlier"
    ):
        write(folder, "new", 3)
    proxy.fault = lambda *_: None
    assert read_committed(folder) == records("new", 3)
    names = write(folder, "next", 2)
    assert list_ours(folder) == ["_manifest.json", *names]


@pytest.mark.parametrize("refuses", [is_part, is_manifest, is_any_write])
def test_a_store_that_refuses_midway_shows_the_old_output_and_one_error(
    place: str, proxy: FaultyProxy, refuses: Callable[[int, str, str], str | None]
) -> None:
    folder = opener.open_folder(place)
    old = write(folder, "old", 3)
    proxy.fault = refuses
    with pytest.raises(DestinationError) as caught:
        write(folder, "new", 6)
    proxy.fault = lambda *_: None
    assert len(str(caught.value).splitlines()) == 1
    assert place.partition("://")[0] in str(caught.value)
    assert read_committed(folder) == records("old", 3)
    write(folder, "next", 2)
    assert read_committed(folder) == records("next", 2)
    assert len(list_ours(folder)) == 2
    assert old


STEPS = [
    (f"{FOLDER}:ObjectFolder.open", 0),
    (f"{FOLDER}:ObjectAttempt.publish", 0),
    (f"{FOLDER}:ObjectFolder.files", 0),
    (f"{FOLDER}:ObjectFolder.version", 0),
    (f"{FOLDER}:ObjectFolder.replace", 0),
    (f"{FOLDER}:ObjectAttempt._require_parts", 0),
    (f"{FOLDER}:ObjectFolder.remove", 0),
    (f"{FOLDER}:ObjectFolder.remove", 2),
]


@pytest.mark.parametrize(("die_at", "calls"), STEPS, ids=[str(n) for n in range(len(STEPS))])
def test_a_kill_at_any_step_of_several_parts_shows_all_or_nothing(
    place: str, die_at: str, calls: int
) -> None:
    folder = opener.open_folder(place)
    write(folder, "old", 7)
    killed = AttemptProcess(place, OPENER, "killed", 5, die_at, SIZE, calls)
    killed.wait_until_ready()
    killed.let_go()
    outcome = killed.outcome()
    found = read_committed(folder)
    assert found is not None
    committed = calls == 2 or "require" in die_at or "remove" in die_at or outcome == "won"
    assert found[0]["tag"] == ("killed" if committed else "old")
    names = write(folder, "next", 3)
    assert read_committed(folder) == records("next", 3)
    assert list_ours(folder) == ["_manifest.json", *sorted(names)]


def test_partitions_in_a_store(place: str) -> None:
    folder = opener.open_folder(place)
    values = ["de", "a b", "é", "x:y", "[1]", "a?b#c", "50%", None]
    rows = [{"v": value, "n": number} for number, value in enumerate(values * 3)]
    destination = PartitionedDestination(
        folder,
        levels=[FieldPartition(field="v")],
        open_path=lambda path, _conn_id: opener.open_folder(path),
    )
    for _ in range(2):
        output = transfer([Page(rows, 1, "", 0)], destination, RUN)
        folder.fs.invalidate_cache()
        assert len(folder.fs.find(folder.path)) == len(values) + 1
        manifest = json.loads(folder.fs.cat_file((folder / "_manifest.json").path))
        assert {file["partition"]["v"] for file in manifest["files"]} == set(values)
        parts = destination.describe(output).parts
        found = [one for part in parts for one in destination.read(part.path, 0, part.rows)]
        assert sorted(found, key=lambda one: one["n"]) == rows
    assert destination.remove_stale({}) == 1
    folder.fs.invalidate_cache()
    assert not folder.fs.exists(folder.path) or folder.fs.find(folder.path) == []
