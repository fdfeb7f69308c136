"""Parquet and Arrow runs whose schema widens, on real servers of S3 and Azure Blob Storage that also fail."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)

from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.errors import DestinationError
from tests.destinations.arrow.wider_run import (
    FULL,
    GATE,
    IDS,
    NEVER,
    RUN,
    TABLES,
    Committed,
    WiderAttempt,
    commit_all,
    list_ours,
    place_kill,
    pull_pages,
    raw,
    read_committed,
    shrink_groups,
)
from tests.destinations.attempts import summary
from tests.stores import opener
from tests.stores.faulty_proxy import FaultyProxy, faulty
from tests.stores.opener import AZURE_URL, S3_URL
from tests.support.lanes import gate_and_full

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

OPENER = "tests.stores.opener"
GATE_AND_FULL = gate_and_full(["parquet"], ["arrow"])
_COUNTS: dict[str, int] = {}


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_groups(monkeypatch.setattr)


@pytest.fixture
def proxy(place: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy in front of the store of ``place``; what is opened in the test goes through it."""
    name = S3_URL if place.startswith("s3") else AZURE_URL
    with faulty(os.environ[name]) as server:
        monkeypatch.setenv(name, server.url)
        yield server


def destination_at(folder: Any, name: str) -> FolderDestination:
    return FolderDestination(folder, name, open_path=lambda path, _: opener.open_folder(path))


def write(folder: Any, name: str, tag: str) -> None:
    transfer(pull_pages(tag), destination_at(folder, name), RUN)


def check_whole(folder: Any, tag: str | None = None) -> Committed:
    found = read_committed(folder)
    assert found is not None
    assert found.ids == IDS
    assert tag is None or found.tags == {tag}
    return found


def check_clean(folder: Any, tag: str | None = None) -> None:
    found = check_whole(folder, tag)
    assert found.ours == sorted(["_manifest.json", *found.files])


@pytest.mark.parametrize("name", TABLES)
def test_narrower_parts_are_written_anew_in_the_store(place: str, name: str) -> None:
    folder = opener.open_folder(place)
    for tag in ("first", "second"):
        output = transfer(pull_pages(tag), destination_at(folder, name), RUN)
        check_clean(folder, tag)
    parts = destination_at(folder, name).describe(output).parts
    rows = [
        row for part in parts for row in destination_at(folder, name).read(part.path, 0, part.rows)
    ]
    assert [row["id"] for row in rows] == IDS
    assert [row["n"] for row in rows[3:6]] == [1, 1.5, None]
    assert rows[7]["n"] == 9007199254740993


@pytest.mark.parametrize("name", GATE_AND_FULL)
@pytest.mark.parametrize("kept", [1, 3, 5])
@pytest.mark.parametrize("fewer", [0, 1])
def test_a_run_that_was_cut_off_goes_on(place: str, name: str, kept: int, fewer: int) -> None:
    folder = opener.open_folder(place)
    write(folder, name, "old")
    pages = pull_pages("new")
    destination = destination_at(folder, name)
    first = destination.open(RUN)
    for page in pages[:kept]:
        first.write(page.records)
        first.keep(b"state")
    first.write(raw(['{"lost":1}']))
    first.suspend()
    progress = destination.find_progress(RUN)
    assert progress is not None
    lines = [record for page in pages for record in page.records]
    wanted = progress.rows - fewer
    second = destination.resume(RUN, progress, wanted)
    assert second is not None
    transferred = lines[wanted:]
    second.write(transferred)
    second.commit(summary(len(lines)))
    check_clean(folder, "new")


@pytest.mark.parametrize("name", GATE_AND_FULL)
@pytest.mark.parametrize("fault", ["503", "lost", "slow", "answer lost"])
def test_a_store_that_fails_now_and_then_gets_everything_once(
    place: str, proxy: FaultyProxy, name: str, fault: str
) -> None:
    folder = opener.open_folder(place)
    write(folder, name, "old")
    proxy.fault = lambda number, _method, _path: fault if number % 15 == 1 else None
    write(folder, name, "new")
    proxy.fault = lambda *_: None
    check_clean(folder, "new")


def is_later_part(_number: int, method: str, path: str) -> str | None:
    return "403" if method == "PUT" and "part-00003-" in path else None


def is_rewritten_part(_number: int, method: str, path: str) -> str | None:
    # The records are in parts 0 to 3; those that the commit writes again come after them.
    is_high = any(f"part-{number:05d}-" in path for number in range(4, 30))
    return "403" if method == "PUT" and is_high else None


def is_read_of_a_part(_number: int, method: str, path: str) -> str | None:
    return "403" if method == "GET" and "part-00001-" in path else None


@pytest.mark.parametrize("name", GATE_AND_FULL)
@pytest.mark.parametrize("refuses", [is_later_part, is_rewritten_part, is_read_of_a_part])
def test_a_store_that_refuses_midway_shows_the_old_output_and_one_error(
    place: str,
    proxy: FaultyProxy,
    name: str,
    refuses: Callable[[int, str, str], str | None],
) -> None:
    folder = opener.open_folder(place)
    write(folder, name, "old")
    before = list_ours(folder)
    proxy.fault = refuses
    with pytest.raises(DestinationError) as caught:
        write(folder, name, "new")
    proxy.fault = lambda *_: None
    assert len(str(caught.value).splitlines()) == 1
    assert place.partition("://")[0] in str(caught.value)
    check_whole(folder, "old")
    assert list_ours(folder) == before
    write(folder, name, "next")
    check_clean(folder, "next")


def count_boundaries(place: str, name: str) -> int:
    """How many boundaries an attempt has in the kind of store that ``place`` is in, counted once."""
    counted = f"{place.partition('://')[0]} {name}"
    if counted not in _COUNTS:
        alone = WiderAttempt(f"{place}/counted", OPENER, name, "x", NEVER)
        outcome, _COUNTS[counted] = alone.finish()
        assert outcome == "won"
    return _COUNTS[counted]


def check_kill(place: str, name: str, step: int) -> None:
    folder = opener.open_folder(place)
    commit_all(folder, name, "old")
    killed_at = place_kill(step, count_boundaries(place, name))
    assert WiderAttempt(place, OPENER, name, "new", killed_at).finish() == ("killed", 0)
    assert check_whole(folder).tags in ({"old"}, {"new"})
    commit_all(folder, name, "new")
    check_clean(folder, "new")


@pytest.mark.parametrize("step", gate_and_full(range(GATE), range(GATE, FULL)))
def test_a_kill_at_any_write_shows_all_or_nothing_and_the_next_attempt_everything_once(
    place: str, step: int
) -> None:
    check_kill(place, "parquet", step)


@pytest.mark.full
@pytest.mark.parametrize("name", ["arrow", "jsonl"])
@pytest.mark.parametrize("step", range(FULL))
def test_a_kill_at_any_write_of_other_formats_loses_and_doubles_nothing(
    place: str, name: str, step: int
) -> None:
    check_kill(place, name, step)


@pytest.mark.parametrize("name", GATE_AND_FULL)
def test_of_attempts_at_once_one_wins_and_nothing_of_the_others_stays(
    place: str, name: str
) -> None:
    attempts = [WiderAttempt(place, OPENER, name, tag) for tag in ("a", "b", "c")]
    for attempt in attempts:
        attempt.wait_until_ready()
    outcomes = [attempt.finish()[0] for attempt in attempts]
    assert sorted(outcomes) == ["lost", "lost", "won"]
    check_clean(opener.open_folder(place))
