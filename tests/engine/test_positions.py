"""Runs that begin at stored watermarks, against scripted APIs and a real store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.api.auth import Credentials
from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.options import CursorPaginator, Records
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.for_each import Slice
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import InvalidRecord, SpecError, TokenStoreError, WatermarkError
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.specs.export_cursor import CursorPlace
from oauth_taskflow.specs.model import Endpoint, ForEachOptions
from oauth_taskflow.specs.request import FirstRun, Request
from oauth_taskflow.specs.windows import Incremental, Interval
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.run_watermarks import RunWatermarks
from oauth_taskflow.watermarks.store import WatermarkStore
from tests.api.scripted import Asked, Reply, scripted
from tests.support.auth import bearer_auth

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
IDENTITY = EndpointId("crm", "contacts", "crm")


def endpoint(incremental: Incremental, **more: Any) -> Endpoint:
    given: dict[str, Any] = {
        "request": Request(path="/contacts", params={"since": "{{ window.start }}"}),
        "records": "data",
        **more,
    }
    return Endpoint(incremental=incremental, **given)


BY_TIME = endpoint(Incremental(by="watermark", field="at", start="2026-01-01"))


class Bench:
    """Runs endpoints one after the other, and reads back what each wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = WatermarkStore(f"sqlite:///{folder}/t.db")
        self.asked: list[dict[str, str]] = []

    def watermarks(self, run_id: str) -> RunWatermarks:
        def read_manifest(place: Mapping[str, Any]) -> Any:
            path = Path(place["path"])
            return json.loads(path.read_text()) if path.exists() else None

        return RunWatermarks(self.store, IDENTITY, run_id, read_manifest)

    def run(
        self,
        run_id: str,
        wanted: Endpoint,
        route: Callable[[Asked], Any],
        *,
        minutes: int = 0,
        auth: Credentials | None = None,
        **options: Any,
    ) -> tuple[list[Any], EndpointSummary]:
        destination = FileDestination(path=str(self.folder / "out"))
        given: dict[str, Any] = {
            "name": "contacts",
            "endpoint": replace(wanted, destination=destination, concurrency=1),
            "run_id": run_id,
            "template_context": {"endpoint": "contacts", "params": {}},
            "interval": Interval(None, NOON + timedelta(minutes=minutes), open_end=True),
            "access": StoreAccess(lambda path, _conn_id: Path(path)),
            "watermarks": self.watermarks(run_id),
            **options,
        }
        auth = auth or bearer_auth("t")
        with scripted(route) as api, OAuthSession(api.url, auth, conn_id="crm") as s:
            summary = run_endpoint(EndpointRun(**given), s)
            self.asked = [one.query for one in api.asked]
        lines = Path(summary.files[0].path).read_text().splitlines()
        return [json.loads(line) for line in lines], summary

    def list_stored(self) -> list[Any]:
        rows = self.store.list_watermarks()
        return [(row.partition, row.state.value) for row in rows if row.moved_at is not None]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class Contacts:
    """Contacts that change; the API returns those changed at ``since`` or later."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, *minutes: int) -> None:
        for minute in minutes:
            at = (NOON + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")
            self.rows.append({"id": len(self.rows), "at": at})

    def __call__(self, asked: Asked) -> Any:
        since = asked.query.get("since", "")
        return {"data": [row for row in self.rows if row.get("at", "9") >= since]}


def test_runs_read_everything_once_although_the_lower_bound_is_inclusive(bench: Bench) -> None:
    api, ids = Contacts(), []
    for number in range(3):
        # Two at the highest instant, one of which comes only after the run: the bound alone would lose or repeat it.
        api.add(number * 10 - 5, number * 10 - 1)
        found, _ = bench.run(f"run{number}", BY_TIME, api, minutes=number * 10)
        ids += [row["id"] for row in found]
        api.add(number * 10 - 1)
    found, summary = bench.run("last", BY_TIME, api, minutes=30)
    ids += [row["id"] for row in found]
    assert ids == [row["id"] for row in api.rows]
    assert bench.asked == [{"since": "2026-01-01T12:19:00Z"}]
    assert summary.watermark == "2026-01-01T12:19:00Z"


def test_a_failed_run_moves_nothing_and_the_manifest_carries_the_move(bench: Bench) -> None:
    api = Contacts()
    api.add(-9)
    _, summary = bench.run("a", BY_TIME, api)
    api.rows.append({"id": 1})
    with pytest.raises(InvalidRecord):
        bench.run("b", BY_TIME, api)
    assert bench.list_stored() == [("", "2026-01-01T11:51:00Z")]
    (move,) = json.loads(Path(summary.manifest).read_text())["watermarks"]["moves"]
    assert (move["from"], move["to"]["value"]) == ({}, "2026-01-01T11:51:00Z")


def test_a_run_tried_again_keeps_the_records_at_its_watermark(bench: Bench) -> None:
    api = Contacts()
    api.add(-9, -8)
    bench.run("a", BY_TIME, api)
    api.add(-7)
    bench.run("b", BY_TIME, api)
    found, _ = bench.run("a", BY_TIME, api)
    assert [row["id"] for row in found] == [0, 1, 2]
    bench.store.reset(IDENTITY)
    found, _ = bench.run("b", BY_TIME, api)  # its own manifest knows where it began
    assert [row["id"] for row in found] == [2]


def test_a_try_whose_beginning_is_forgotten_is_refused(bench: Bench) -> None:
    api = Contacts()
    api.add(-9)
    over: dict[str, Any] = {"item": {"r": Slice(value="eu")}, "map_index": 0}
    listed = replace(
        BY_TIME,
        for_each={"r": ["eu", "us"]},
        request=Request(path="/{{ r }}", params={"since": "{{ window.start }}"}),
    )
    bench.run("a", listed, api, **over)
    bench.store.reset(IDENTITY)
    over["item"] = {"r": Slice(value="us")}
    with pytest.raises(WatermarkError, match=r"where it began to read .* is not known any more"):
        bench.run("a", listed, api, **over)


def test_lookback_reads_again_from_before(bench: Bench) -> None:
    api = Contacts()
    api.add(-9)
    late = endpoint(Incremental(by="watermark", field="at", start="2026-01-01", lookback="PT1H"))
    bench.run("a", late, api)
    bench.run("b", late, api)
    assert bench.asked == [{"since": "2026-01-01T10:51:00Z"}]


def test_each_parent_value_and_param_has_a_watermark(bench: Bench, tmp_path: Path) -> None:
    api = Contacts()
    api.add(-9)
    parents = tmp_path / "parents.jsonl"
    parents.write_text("".join(f'{{"id": {n}, "changes": {n * 7}}}\n' for n in range(3)))
    child = endpoint(
        Incremental(by="watermark", field="at", start="2026-01-01"),
        for_each={"c": ForEachOptions(endpoint="parents")},
        request=Request(
            path="/{{ c.id }}/{{ params.region }}", params={"since": "{{ window.start }}"}
        ),
    )
    item = {"c": Slice(file=str(parents), take=3)}
    names = {"endpoint": "contacts", "params": {"region": "eu", "unused": 1}}
    bench.run("a", child, api, item=item, map_index=0, template_context=names)
    parts = [json.loads(partition) for partition, _ in bench.list_stored()]
    assert sorted(parts, key=str) == [
        {"c": {"id": n}, "params": {"region": "eu"}} for n in range(3)
    ]
    names = {"endpoint": "contacts", "params": {"region": "us", "unused": 1}}
    bench.run("b", child, api, item=item, map_index=0, template_context=names)
    assert {query["since"] for query in bench.asked} == {"2026-01-01T00:00:00Z"}


def test_a_key_names_the_parent(bench: Bench, tmp_path: Path) -> None:
    parents = tmp_path / "parents.jsonl"
    parents.write_text('{"key": {"id": 7}, "url": "/x"}\n{"url": "/y"}\n')
    child = endpoint(
        Incremental(by="watermark", field="at", start="2026-01-01"),
        for_each={"c": ForEachOptions(endpoint="parents", key="key.id")},
        request=Request(path="/{{ c.url }}", params={"since": "{{ window.start }}"}),
    )
    api = Contacts()
    bench.run("a", child, api, item={"c": Slice(file=str(parents), take=1)}, map_index=0)
    assert bench.store.list_watermarks()[1].partition == '{"c":7}'
    with pytest.raises(InvalidRecord, match=r"has nothing at for_each.c.key 'key.id'"):
        bench.run("b", child, api, item={"c": Slice(file=str(parents), take=2)}, map_index=0)


def test_a_number_is_sent_as_it_is(bench: Bench) -> None:
    by_id = endpoint(
        Incremental(by="watermark", field="id"),
        request=Request(path="/x", params={"since_id": "{{ watermark.value | default(0) }}"}),
    )
    rows = [{"id": 2**70 + n} for n in range(3)]
    bench.run("a", by_id, lambda _: {"data": rows})
    assert bench.asked == [{"since_id": "0"}]
    bench.run("b", by_id, lambda _: {"data": []})
    assert bench.asked == [{"since_id": str(2**70 + 2)}]
    with pytest.raises(SpecError, match=r"send \{\{ watermark.value \}\} instead"):
        bench.run("c", BY_TIME, lambda _: {"data": []})


@pytest.mark.parametrize(("style", "value"), [("epoch", 1767268800), ("epoch_ms", "1767268800000")])
def test_a_number_that_is_an_instant_begins_a_window(bench: Bench, style: str, value: Any) -> None:
    options = Incremental(by="watermark", field="at", start="2026-01-01", format=style)
    bench.run("a", endpoint(options), lambda _: {"data": [{"at": value}]})
    bench.run("b", endpoint(options), lambda _: {"data": []}, minutes=5)
    assert bench.asked == [{"since": str(value)}]


def test_fields_that_are_set_by_the_run_make_no_record_new(bench: Bench) -> None:
    shaped = replace(
        BY_TIME, fields=Fields(set={"ReadAt": "{{ now }}"}, names="snake_case", drop=["id"])
    )
    api = Contacts()
    api.add(-9)
    first, _ = bench.run("a", shaped, api)
    assert set(first[0]) == {"at", "read_at"}
    assert bench.run("b", shaped, api)[0] == []


def test_any_form_of_date_is_stored_as_an_instant(bench: Bench) -> None:
    options = Incremental(
        by="watermark", field="at", start="2026-01-01", field_format="%d/%m/%Y", until="-PT10M"
    )
    rows = [{"at": "02/01/2026"}, {"at": "28/12/2025"}]
    _, summary = bench.run("a", endpoint(options), lambda _: {"data": rows}, minutes=2 * 1440)
    assert summary.watermark == "02/01/2026"
    assert bench.list_stored() == [("", "2026-01-02T00:00:00Z")]
    found, _ = bench.run("b", endpoint(options), lambda _: {"data": rows}, minutes=2 * 1440)
    assert bench.asked == [{"since": "2026-01-02T00:00:00Z"}]
    assert found == rows[1:]


EXPORT = endpoint(
    Incremental(by="watermark", cursor="after"),
    request=Request(path="/export", params={"cursor": "{{ watermark.cursor | default('') }}"}),
    paginate=CursorPaginator(next="next", param="cursor"),
)


class Export:
    """An incremental export as Zendesk's: each page has the cursor after it, and expired ones are refused."""

    def __init__(self, size: int = 2) -> None:
        self.rows: list[int] = []
        self.size = size
        self.expired: set[str] = set()

    def __call__(self, asked: Asked) -> Any:
        cursor = asked.query.get("cursor", "")
        if cursor in self.expired:
            return Reply({"error": {"code": "gone"}}, status=410)
        begin = int(cursor or 0)
        rows = self.rows[begin : begin + self.size]
        after = begin + len(rows)
        more = str(after) if after < len(self.rows) else None
        return {"data": [{"id": row} for row in rows], "after": str(after), "next": more}


def test_an_export_goes_on_where_the_last_page_ended(bench: Bench) -> None:
    api, found = Export(), []
    for number in range(4):
        api.rows += range(number * 5, number * 5 + 5)
        rows, _ = bench.run(f"run{number}", EXPORT, api)
        found += [row["id"] for row in rows]
    assert found == list(range(20))
    assert bench.asked[0] == {"cursor": "15"}
    assert len(bench.asked) == 3


def test_an_expired_cursor_means_a_full_read_with_a_warning(bench: Bench) -> None:
    api = Export()
    api.rows += range(3)
    bench.run("a", EXPORT, api)
    api.rows += range(3, 5)
    api.expired.add("3")
    rows, summary = bench.run("b", EXPORT, api)
    assert [row["id"] for row in rows] == [0, 1, 2, 3, 4]
    assert any("knows the stored cursor no longer (HTTP 410)" in text for text in summary.warnings)
    rows, _ = bench.run("c", EXPORT, api)
    assert rows == []
    api.expired |= {"5", ""}
    with pytest.raises(ApiStatusError, match="410"):
        bench.run("d", EXPORT, api)


def test_the_first_run_has_its_own_request_and_so_has_a_run_after_an_expired_cursor(
    bench: Bench,
) -> None:
    first = FirstRun(request=Request(path="/all"), records="rows", paginate=None)
    mixed = endpoint(
        Incremental(by="watermark", cursor="after", first_run=first),
        request=Request(path="/export", params={"cursor": "{{ watermark.cursor }}"}),
    )
    paths: list[str] = []

    def route(asked: Asked) -> Any:
        paths.append(asked.target)
        if asked.query.get("cursor") == "2":
            return Reply({}, status=410)
        return {"rows": [{"id": 1}], "data": [{"id": 2}], "after": str(len(paths))}

    for number in range(3):
        bench.run(f"run{number}", mixed, route)
    assert paths == ["/all", "/export?cursor=1", "/export?cursor=2", "/all"]


def test_the_last_page_must_have_the_cursor(bench: Bench) -> None:
    with pytest.raises(
        InvalidRecord, match="The last page has no cursor for the next run at 'after'"
    ):
        bench.run("a", EXPORT, lambda _: {"data": [{"id": 1}], "next": None})
    assert bench.list_stored() == []


@pytest.mark.parametrize("host", ["graph.example", "[::1"])
def test_a_delta_link_gives_its_parameter(bench: Bench, host: str) -> None:
    place = CursorPlace(path='"@odata.deltaLink"', param="$deltatoken")
    delta = endpoint(
        Incremental(by="watermark", cursor=place),
        request=Request(path="/d", params={"token": "{{ watermark.cursor | default('latest') }}"}),
    )
    link = f"https://{host}/users/delta?$deltatoken=a%2Bb&x=1"
    bench.run("a", delta, lambda _: {"data": [], "@odata.deltaLink": link})
    bench.run("b", delta, lambda _: {"data": [], "@odata.deltaLink": link})
    assert bench.asked == [{"token": "a+b"}]
    with pytest.raises(InvalidRecord, match=r"parameter '\$deltatoken'"):
        bench.run("c", delta, lambda _: {"data": [], "@odata.deltaLink": "https://x.example/"})


def test_a_store_that_is_away_after_the_commit_is_a_warning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Contacts()
    api.add(-9)

    def fail(*_: Any) -> None:
        raise TokenStoreError("The token store failed")

    with monkeypatch.context() as broken:
        broken.setattr(WatermarkStore, "settle", fail)
        _, summary = bench.run("a", BY_TIME, api)
    assert "the next run does it" in summary.warnings[0]
    assert bench.list_stored() == []
    found, _ = bench.run("b", BY_TIME, api)
    assert found == []  # settled from the manifest of run a first


def test_the_bound_of_a_watermark_keeps_records_that_are_lists(bench: Bench) -> None:
    rows = [{"at": "2026-01-01T11:00:00Z", "n": n} for n in range(300)]
    bench.run("a", BY_TIME, lambda _: {"data": rows})
    found, _ = bench.run("b", BY_TIME, lambda _: {"data": rows})
    assert len(found) == 300  # too many to remember: read again, none lost
    single = replace(BY_TIME, records=Records(path="data", single=True))
    found, _ = bench.run("c", single, lambda _: {"data": rows[0]})
    assert len(found) == 1
