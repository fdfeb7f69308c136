"""Runs by stored watermark that are cut off go on, and end with the records and watermarks of uncut ones."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.engine.resume import PullSuspended, ResumeOptions
from oauth_taskflow.errors import ApiError, InvalidRecord, TokenStoreError
from oauth_taskflow.specs.export_cursor import CursorPlace
from oauth_taskflow.specs.model import Endpoint, ForEachOptions
from oauth_taskflow.specs.request import FirstRun, Request
from oauth_taskflow.specs.windows import Incremental, Interval
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.run_watermarks import RunWatermarks
from oauth_taskflow.watermarks.state import WatermarkState
from oauth_taskflow.watermarks.store import WatermarkStore
from tests.api.pull.styles import STYLES
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import END, SEAL, build_endpoint, pull, read_output

IDENTITY = EndpointId("crm", "rows", "crm")
NAMES = ["ann", "bob", "cy"]
NAMED = ["page", "cursor", "next url"]


class ChangingApi:
    """Rows that changed at a minute, for each parent, two a page; the lower bound is inclusive.

    ``cuts`` are the numbers of the requests, from 0 over all attempts, that are answered with ``refusal``.
    """

    def __init__(self, style: str) -> None:
        self.style = style
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
        self.cuts: set[int] = set()
        self.refusal = Reply({}, 503)
        self.count = 0
        self.asked: list[str] = []
        self.expired: set[str] = set()

    def add(self, name: str, *minutes: int) -> None:
        for minute in minutes:
            number = len(self.rows[name])
            at = f"2026-01-02T{minute // 60:02}:{minute % 60:02}:00Z"
            self.rows[name].append({"id": f"{name}-{number}", "at": at, "n": 2**70 + minute})

    def __call__(self, asked: Asked) -> Any:
        number, self.count = self.count, self.count + 1
        if number in self.cuts:
            return self.refusal
        self.asked.append(asked.target)
        query = asked.query
        if query.get("export") in self.expired:
            return Reply({}, 410)
        rows = self.rows[asked.path.rpartition("/")[2]]
        rows = rows[int(query["export"]) :] if query.get("export") else rows
        known = {"since": "at", "above": "n"}
        for param, field in known.items():
            if param in query:
                kind = int if field == "n" else str
                rows = [row for row in rows if self.is_from(row[field], kind(query[param]))]
        at = int(query.get("at", 0))
        body: dict[str, Any] = {"items": rows[2 * at : 2 * at + 2]}
        if 2 * at + 2 < len(rows):
            more = "".join(f"&{k}={v}" for k, v in query.items() if k != "at")
            body |= {"next": str(at + 1), "url": f"{asked.path}?at={at + 1}{more}"}
        else:
            end = len(self.rows[asked.path.rpartition("/")[2]])
            body["after"] = f"https://x/?secret=hunter2&export={end}"
        return body

    def is_from(self, value: Any, bound: Any) -> bool:
        """Whether a request from ``bound`` on returns a row with ``value``."""
        return bool(value >= bound)


MODES: dict[str, tuple[dict[str, Any], Incremental]] = {
    "instant": (
        {"since": "{{ window.start }}"},
        Incremental(by="watermark", field="at", start="2026-01-01"),
    ),
    "windows": (
        {"since": "{{ window.start }}"},
        Incremental(by="watermark", field="at", start="2026-01-01", step="P1D", keep="window"),
    ),
    "number": (
        {"above": "{{ watermark.value | default(0) }}"},
        Incremental(by="watermark", field="n", field_format="integer"),
    ),
    "cursor": (
        {"export": "{{ watermark.cursor | default('') }}"},
        Incremental(by="watermark", cursor=CursorPlace(path="after", param="export")),
    ),
}


class Bench:
    """One deployment: a folder of output and a store of watermarks."""

    def __init__(self, folder: Path, api: ChangingApi, mode: str, **more: Any) -> None:
        self.folder, self.api = folder, api
        self.store = WatermarkStore(f"sqlite:///{folder}/t.db")
        params, incremental = MODES[mode]
        given: dict[str, Any] = {
            "request": Request(path="/rows/{{ parent.name }}", params=params),
            "for_each": {"parent": ForEachOptions(endpoint="parents")},
            "incremental": incremental,
            "primary_key": None,
            **more,
        }
        self.endpoint: Endpoint = build_endpoint(folder, api.style, **given)
        self.resume = ResumeOptions(SEAL, keep_every=0.0)

    def attempt(self, run_id: str, names: list[str] | None = None, **options: Any) -> Any:
        def read_manifest(place: Mapping[str, Any]) -> Any:
            path = Path(place["path"])
            return json.loads(path.read_text()) if path.exists() else None

        given: dict[str, Any] = {
            "run_id": run_id,
            "interval": Interval(None, END, open_end=True),
            "watermarks": RunWatermarks(self.store, IDENTITY, run_id, read_manifest),
            "resume": self.resume,
            **options,
        }
        summary = pull(self.folder, self.api, self.endpoint, names or NAMES, **given)
        return read_output(summary), summary

    def finish(self, run_id: str) -> Any:
        """Tries the run again until it is done; returns its output without what differs in every run."""
        for _ in range(len(self.api.cuts) + 1):
            with suppress(ApiError, PullSuspended):
                (manifest, contents), summary = self.attempt(run_id)
                manifest["watermarks"].pop("token")
                for move in manifest["watermarks"]["moves"]:
                    move["to"]["at_value"] = sorted(move["to"].get("at_value", ()))
                return manifest, contents, summary
        pytest.fail("The run never ended")

    def stored(self) -> list[Any]:
        rows = self.store.list_watermarks()
        return sorted((row.partition, row.state.to_text()) for row in rows)


@contextmanager
def new_bench(style: str, mode: str, **more: Any) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), ChangingApi(style), mode, **more)
        try:
            yield bench
        finally:
            bench.store.close()


def play(
    bench: Bench, growth: list[list[tuple[str, int]]], cuts: set[int], expiring: set[int]
) -> list[Any]:
    """Runs once after each growth; returns the outputs, each with the stored watermarks after it."""
    results = []
    bench.api.cuts = cuts
    for number, added in enumerate(growth):
        for name, minute in added:
            bench.api.add(name, 60 * number + minute)
        if number in expiring:
            bench.api.expired = {str(end) for end in range(1, 99)}
        manifest, contents, _ = bench.finish(f"run{number}")
        bench.api.expired = set()
        # A separate run has its own folder; the places of files are not compared.
        results.append((manifest, contents, bench.stored()))
    return results


@pytest.mark.no_cover
@pytest.mark.slow
@given(
    kind=st.tuples(st.sampled_from(NAMED), st.sampled_from([*MODES])),
    growth=st.lists(
        st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 59)), max_size=9),
        min_size=1,
        max_size=3,
    ),
    trouble=st.tuples(
        st.sets(st.integers(0, 24), max_size=5), st.sets(st.integers(1, 2), max_size=1)
    ),
    more=st.fixed_dictionaries(
        {"concurrency": st.sampled_from([1, 1, 4]), "primary_key": st.sampled_from([None, "id"])}
    ),
    options=st.builds(
        ResumeOptions, st.sampled_from([SEAL, None]), keep_every=st.sampled_from([0.0, 1e9])
    ),
)
def test_wherever_requests_fail_records_manifests_and_watermarks_are_those_of_uncut_runs(
    kind: tuple[str, str],
    growth: list[list[tuple[str, int]]],
    trouble: tuple[set[int], set[int]],
    more: dict[str, Any],
    options: ResumeOptions,
) -> None:
    (style, mode), (cuts, expiring) = kind, trouble
    with new_bench(style, mode, **more) as bench:
        expected = play(bench, growth, set(), expiring)
        plain = bench.api
    with new_bench(style, mode, **more) as bench:
        bench.resume = options
        assert play(bench, growth, cuts, expiring) == expected
    is_sealed = options.seal is not None or style != "next url"
    if is_sealed and more["concurrency"] == 1 and not expiring:
        assert sorted(bench.api.asked) == sorted(plain.asked), "a page was asked for twice"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, ChangingApi("cursor"), "instant")
    yield bench
    bench.store.close()


def cut(bench: Bench, run_id: str, request: int, **options: Any) -> None:
    bench.api.cuts = {bench.api.count + request}
    with pytest.raises(ApiError):
        bench.attempt(run_id, **options)


def ids(found: Any) -> list[str]:
    (_, (content,)), _ = found
    return [json.loads(line)["id"] for line in content.splitlines()]


def test_a_run_goes_on_from_where_it_began_although_the_watermark_moved_meanwhile(
    bench: Bench,
) -> None:
    bench.api.add("ann", 1, 2, 3, 4)
    cut(bench, "a", 1)
    bench.attempt("b")
    assert any("02T00:04" in state for _, state in bench.stored())
    bench.api.asked.clear()
    found = bench.attempt("a")
    assert (ids(found), found[1].resumed) == (["ann-0", "ann-1", "ann-2", "ann-3"], 1)
    assert bench.api.asked[0].endswith("at=1")
    assert found[0][0]["watermarks"]["moves"][0]["from"] == {}


def test_a_watermark_that_a_person_set_meanwhile_is_where_the_next_try_begins(bench: Bench) -> None:
    bench.api.add("ann", 1, 2, 3, 4)
    bench.attempt("a")
    bench.api.add("ann", 5, 6, 7)
    cut(bench, "b", 1)
    (partition,) = [part for part, state in bench.stored() if "00:04" in state]
    bench.store.replace(IDENTITY, partition, WatermarkState("2026-01-02T00:02:00Z"))
    found = bench.attempt("b")
    assert ids(found) == [f"ann-{number}" for number in range(1, 7)]
    assert found[1].resumed == 0
    assert any("02T00:07" in state for _, state in bench.stored())


def test_nothing_moves_before_the_commit(bench: Bench) -> None:
    bench.api.add("ann", 1, 2, 3)
    cut(bench, "a", 1)
    assert [part for part, _ in bench.stored()] == [""]
    assert bench.store.list_pending(IDENTITY) == []


def test_a_cleared_run_that_is_cut_off_goes_on_from_where_it_began_first(bench: Bench) -> None:
    bench.api.add("ann", 1, 2, 3)
    bench.attempt("a")
    bench.api.add("ann", 4, 5)
    cut(bench, "a", 2)
    bench.attempt("b")
    found = bench.attempt("a")
    assert (len(ids(found)), found[1].resumed) == (5, 1)


def test_an_expired_cursor_after_pages_that_were_kept_starts_its_sequence_over(
    tmp_path: Path,
) -> None:
    for style in ("cursor", "page"):
        folder = tmp_path / style
        folder.mkdir()
        bench = Bench(folder, ChangingApi(style), "cursor")
        bench.api.add("ann", 1, 2)
        bench.attempt("a")
        bench.api.add("ann", 3, 4, 5, 6)
        cut(bench, "b", 1)
        bench.api.expired = {"2"}
        found = bench.attempt("b")
        assert ids(found) == [f"ann-{number}" for number in range(6)]
        assert any("knows the stored cursor no longer" in one for one in found[1].warnings)
        bench.store.close()


def test_a_read_that_started_over_without_its_cursor_goes_on_without_it(tmp_path: Path) -> None:
    request = Request(path="/rows/{{ parent.name }}", params={"export": ""})
    first = FirstRun(request=request, records="items", paginate=STYLES["page"]())
    cursor = CursorPlace(path="after", param="export")
    mode = Incremental(by="watermark", cursor=cursor, first_run=first)
    bench = Bench(tmp_path, ChangingApi("page"), "cursor", incremental=mode)
    bench.api.add("ann", 1, 2, 3)
    bench.attempt("a")
    bench.api.expired = {"3"}
    cut(bench, "b", 2)
    bench.api.asked.clear()
    found = bench.attempt("b")
    assert ids(found) == ["ann-0", "ann-1", "ann-2"]
    assert bench.api.asked[0] == "/rows/ann?export=&at=1"
    bench.store.close()


def test_no_secret_of_a_cursor_url_is_in_the_progress(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ChangingApi("cursor"), "cursor")
    bench.api.add("ann", 1)
    cut(bench, "a", 1)
    (progress,) = tmp_path.rglob("_progress*")
    assert b"hunter2" not in progress.read_bytes()
    bench.store.close()


def test_a_database_that_is_away_at_the_end_costs_no_page(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.api.add("ann", 1, 2, 3)

    def fail(*_: Any) -> None:
        raise TokenStoreError("The database is away")

    with monkeypatch.context() as patch:
        patch.setattr(WatermarkStore, "prepare", fail)
        with pytest.raises(TokenStoreError):
            bench.attempt("a")
    bench.api.asked.clear()
    found = bench.attempt("a")
    assert (len(ids(found)), bench.api.asked, found[1].resumed) == (3, [], 1)


def test_a_cursor_that_is_missing_at_the_end_starts_over(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        ChangingApi("cursor"),
        "cursor",
        incremental=Incremental(by="watermark", cursor="absent"),
    )
    for _ in range(2):
        bench.api.asked.clear()
        with pytest.raises(InvalidRecord, match="has no cursor"):
            bench.attempt("a")
        assert len(bench.api.asked) == len(NAMES)
    bench.store.close()


def test_other_parents_than_before_start_over(bench: Bench) -> None:
    for name in NAMES:
        bench.api.add(name, 1, 2, 3)
    cut(bench, "a", 5)
    found = bench.attempt("a", ["bob", "ann", "cy"])
    assert ids(found)[:3] == ["bob-0", "bob-1", "bob-2"]
    partitions = [part for part, _ in bench.stored() if part]
    assert len(partitions) == 3


@pytest.mark.slow
@pytest.mark.no_cover
def test_thousands_of_partitions_are_kept_in_blocks(tmp_path: Path) -> None:
    api = ChangingApi("cursor")
    names = [f"p{number}" for number in range(350)]
    api.rows = {name: [] for name in names}
    for name in names:
        api.add(name, 1)
    bench = Bench(tmp_path, api, "instant")
    bench.resume = ResumeOptions(SEAL, keep_every=1e9)
    for at in (90, 110, 0, 49):
        cut(bench, "a", at, names=names)
    found = bench.attempt("a", names)
    assert ids(found) == [f"{name}-0" for name in names]
    assert (found[1].resumed, len(api.asked)) == (4, 350)
    moves = found[0][0]["watermarks"]["moves"]
    assert [json.dumps(move["partition"]) for move in moves] == [
        json.dumps({"parent": {"name": name}}) for name in names
    ]
    assert {move["to"]["value"] for move in moves} == {"2026-01-02T00:01:00Z"}
    bench.store.close()
