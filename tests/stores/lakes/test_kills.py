"""Attempts at tables of lakes in S3 that are killed before a request that writes, or before they get its answer."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from threading import Event

import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)
pytest.importorskip("deltalake")

from oauth_taskflow.destinations.base import EndpointFacts
from tests.stores.faulty_proxy import FaultyProxy
from tests.stores.lakes.kinds import KINDS
from tests.stores.opener import S3_URL
from tests.tables.kinds import Kind, put, read_rows
from tests.tables.lakes.attempts import Attempt, AttemptOptions, make_records, race

pytestmark = pytest.mark.slow
FACTS = EndpointFacts(("id",))
OTHERS = [("r0", 7, "other")]
MODES = ["replace_run", "merge"]
WRITES = {"PUT", "POST", "DELETE"}
_COUNTS: dict[tuple[str, str], int] = {}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, servers: None) -> Kind:
    """The kind of table under test."""
    return KINDS[request.param]


def begin(kind: Kind, folder: Path, mode: str) -> None:
    folder.mkdir()
    put(kind, folder, [{"id": 7, "tag": "other"}], "r0", facts=FACTS, mode=mode)
    put(kind, folder, [{"id": n, "tag": "old"} for n in range(3)], "r1", facts=FACTS, mode=mode)


def attempt(kind: Kind, folder: Path, mode: str, proxy: FaultyProxy) -> Attempt:
    """An attempt that asks the store by the proxy, up to its commit."""
    found = Attempt(kind, folder, AttemptOptions("new", mode=mode, environment={S3_URL: proxy.url}))
    found.wait_until_ready()
    return found


def count_writes(kind: Kind, folder: Path, mode: str, proxy: FaultyProxy) -> int:
    """The requests that write, in an attempt that is left alone."""
    if (kind.name, mode) not in _COUNTS:
        begin(kind, folder, mode)
        found = attempt(kind, folder, mode, proxy)
        proxy.asked.clear()
        found.let_go()
        assert found.outcome().startswith("won")
        _COUNTS[kind.name, mode] = sum(method in WRITES for method, _ in proxy.asked)
    return _COUNTS[kind.name, mode]


def check_kill(kind: Kind, folder: Path, mode: str, proxy: FaultyProxy, share: float) -> None:
    """Kills an attempt at one of its writes, and lets two others commit after it."""
    boundaries = 2 * count_writes(kind, folder / "probe", mode, proxy)
    number, is_late = divmod(min(boundaries - 1, int(boundaries * share)), 2)
    place = folder / "killed"
    begin(kind, place, mode)
    before = read_rows(kind, place, "_run_id", "id", "tag")
    killed = attempt(kind, place, mode, proxy)
    proxy.asked.clear()
    reached = Event()

    def kill(_number: int, method: str, _path: str) -> str | None:
        written = sum(method in WRITES for method, _ in proxy.asked)
        if method not in WRITES or written <= number:
            return None
        # A process that is stopped gets no answer to what the store does now.
        os.kill(killed.pid, signal.SIGSTOP if is_late else signal.SIGKILL)
        reached.set()
        return "answer lost" if is_late else "lost"

    proxy.fault = kill
    killed.let_go()
    if is_late:
        assert reached.wait(600)
        assert killed.is_silent(0.5)
        os.kill(killed.pid, signal.SIGKILL)
    assert killed.outcome() == "killed"
    proxy.fault = lambda *_: None
    whole = [*OTHERS, *(("r1", n, "new") for n in range(4))]
    assert read_rows(kind, place, "_run_id", "id", "tag") in (before, whole)
    for tag, rows in (("again", 2), ("last", 5)):
        put(kind, place, make_records(AttemptOptions(tag, rows)), facts=FACTS, mode=mode)
        found = read_rows(kind, place, "_run_id", "id", "tag")
        mine = [row for row in found if row in OTHERS or row[2] == tag]
        assert mine == [*OTHERS, *(("r1", n, tag) for n in range(rows))]
        keys = [row[1] for row in found]
        assert len(keys) == len(set(keys))
        assert mode == "merge" or found == mine


@pytest.mark.parametrize("part", range(8))
def test_a_kill_at_a_request_shows_the_run_whole_or_not_at_all_and_after_the_next_once(
    kind: Kind, tmp_path: Path, proxy: FaultyProxy, part: int
) -> None:
    check_kill(kind, tmp_path, MODES[part % 2], proxy, part / 7)


@pytest.mark.full
@pytest.mark.parametrize("part", range(40))
@pytest.mark.parametrize("mode", MODES)
def test_a_kill_at_any_request_leaves_a_table_that_the_next_attempts_complete(
    kind: Kind, tmp_path: Path, proxy: FaultyProxy, mode: str, part: int
) -> None:
    check_kill(kind, tmp_path, mode, proxy, part / 39)


def test_attempts_of_one_run_and_instances_of_another_commit_at_once(
    kind: Kind, tmp_path: Path
) -> None:
    environment = {S3_URL: os.environ[S3_URL]}
    tries = [AttemptOptions(tag, 3, environment=environment) for tag in ("a", "b")]
    mapped = [
        AttemptOptions(f"t{n}", 2, map_index=n, dag_id="other", environment=environment)
        for n in range(3)
    ]
    ends = race(kind, tmp_path, *tries, *mapped)
    assert sorted(end[:3] for end in ends[:2]) == ["los", "won"]
    assert [end[:3] for end in ends[2:]] == ["won"] * 3
    found = read_rows(kind, tmp_path, "_dag_id", "_map_index", "tag", "id")
    (tag,) = (one.tag for one, end in zip(tries, ends[:2], strict=True) if end.startswith("won"))
    instances = [("other", n, f"t{n}", row) for n in range(3) for row in range(2)]
    assert found == [*(("", -1, tag, row) for row in range(3)), *instances]
