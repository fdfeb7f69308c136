"""Endpoints against the real test API, without Airflow."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.errors import ApiAnswerTooLarge
from oauth_taskflow.api.options import (
    CursorPaginator,
    Limits,
    PageNumberPaginator,
    Records,
    ResponseRule,
)
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.for_each import Slice
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import ApiRequestFailed, InvalidRecord, PaginationLoop, SpecError
from oauth_taskflow.specs.model import Endpoint, ForEachOptions, Request
from oauth_taskflow.specs.windows import Incremental, Interval
from oauth_taskflow.testing import OAuthTestServer
from tests.api.scripted import Asked, Reply, scripted
from tests.support.auth import bearer_auth

NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)
COUNTRY = Endpoint(
    request=Request(path="/countries/{{ nation.code }}/airports"),
    records="data",
    paginate=PageNumberPaginator(size=100, size_param="per_page", total_pages="meta.pages"),
)


class Bench:
    """Runs an endpoint against the server and reads back what it wrote."""

    def __init__(self, server: OAuthTestServer, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def run(
        self, endpoint: Endpoint, file_format: str = "jsonl", **options: Any
    ) -> EndpointSummary:
        destination = FileDestination(path=str(self.folder / "{{ endpoint }}"), format=file_format)
        merged = _with(endpoint, destination)
        given: dict[str, Any] = {
            "name": "airports",
            "run_id": "manual__1",
            "template_context": {"endpoint": "airports", "params": {}},
            "interval": Interval(None, NEW_YEAR),
            "access": StoreAccess(lambda path, _conn_id: Path(path)),
            **options,
        }
        token = self.server.issue_access_token()
        with OAuthSession(self.server.base_url, bearer_auth(token), conn_id="crm") as session:
            return run_endpoint(EndpointRun(endpoint=merged, **given), session)


def _with(endpoint: Endpoint, destination: FileDestination) -> Endpoint:
    import msgspec  # noqa: PLC0415 - one helper needs it

    return msgspec.structs.replace(endpoint, destination=destination)


def rows(summary: EndpointSummary) -> list[dict[str, Any]]:
    found = []
    for file in summary.files:
        data = Path(file.path).read_bytes()
        text = gzip.decompress(data) if file.path.endswith(".gz") else data
        found += [json.loads(line) for line in text.splitlines()]
    return found


@pytest.fixture
def bench(oauth_server: OAuthTestServer, tmp_path: Path) -> Bench:
    return Bench(oauth_server, tmp_path)


def test_every_record_arrives_once_with_a_manifest(bench: Bench) -> None:
    endpoint = Endpoint(
        request=Request(path="/cursor/airports"),
        records="data",
        primary_key="icao",
        paginate=CursorPaginator(
            next="paging.next.after", param="after", size=1000, size_param="limit"
        ),
    )
    summary = bench.run(endpoint, "jsonl.gz")
    found = [row["icao"] for row in rows(summary)]
    assert len(found) == len(set(found)) == summary.rows >= 3000
    manifest = json.loads(Path(summary.manifest).read_text())
    assert manifest["rows"] == summary.rows
    assert manifest["run_id"] == "manual__1"
    assert summary.files[0].path.endswith("airports/run_id=manual__1/part-00000.jsonl.gz")


def test_windows_read_each_changed_record_once(bench: Bench) -> None:
    endpoint = Endpoint(
        request=Request(
            path="/page/airports",
            params={"updated_since": "{{ window.start }}", "updated_before": "{{ window.end }}"},
        ),
        records="data",
        paginate=PageNumberPaginator(size=500, size_param="per_page", total_pages="meta.pages"),
        incremental=Incremental(field="updated_at", start="2025-11-01", step="P1M"),
    )
    summary = bench.run(endpoint)
    seen = [row["updated_at"] for row in rows(summary)]
    ids = [row["icao"] for row in rows(summary)]
    assert len(ids) == len(set(ids)) > 0
    assert min(seen) >= "2025-11-01"
    assert max(seen) < "2026-01-01"
    assert summary.sequences == 2
    assert summary.watermark == max(seen)
    assert summary.interval == ["", "2026-01-01T00:00:00+00:00"]


def test_the_limits_of_an_endpoint_bound_its_answers(bench: Bench) -> None:
    airports = Endpoint(request=Request(path="/countries"), records="data", limits=Limits(bytes=99))
    with pytest.raises(ApiAnswerTooLarge, match="larger than 99 bytes"):
        bench.run(airports)


def test_an_interval_before_start_commits_an_empty_output(bench: Bench) -> None:
    endpoint = Endpoint(
        request=Request(path="/page/airports"),
        records="data",
        incremental=Incremental(field="updated_at", start="2030-01-01"),
    )
    summary = bench.run(endpoint)
    assert (summary.rows, summary.sequences) == (0, 0)
    assert Path(summary.manifest).exists()


def test_parent_records_fill_the_path_and_are_copied_into_the_children(
    bench: Bench, tmp_path: Path
) -> None:
    parents = tmp_path / "countries.jsonl"
    parents.write_text('{"code": "AT", "n": 1}\n{"code": "NZ", "n": 2}\n')
    copied = ForEachOptions(endpoint="countries", copy={"nation_number": "n"})
    endpoint = Endpoint(
        request=COUNTRY.request,
        records="data",
        paginate=COUNTRY.paginate,
        for_each={"nation": copied},
    )
    item = {"nation": Slice(file=str(parents), skip=0, take=2)}
    summary = bench.run(endpoint, item=item, map_index=3)
    numbers = {row["country"]: row["nation_number"] for row in rows(summary)}
    assert numbers == {"AT": 1, "NZ": 2}
    assert "map_index=3" in summary.manifest
    assert summary.sequences == 2


@pytest.mark.slow
@pytest.mark.parametrize(("concurrency", "at_once"), [(4, True), (1, False)])
def test_parents_are_read_concurrently_and_written_in_order(
    bench: Bench, concurrency: int, at_once: bool
) -> None:
    countries = ["AT", "NZ", "CH", "DK"]
    parents = bench.folder / "countries.jsonl"
    parents.write_text("".join(json.dumps({"code": code}) + "\n" for code in countries))
    endpoint = Endpoint(
        request=COUNTRY.request,
        records="data",
        paginate=COUNTRY.paginate,
        for_each={"nation": "countries"},
        concurrency=concurrency,
    )
    bench.server.clear_log()
    for code in countries[:3]:
        bench.server.fault(f"/countries/{code}/airports", hang=1.0)
    summary = bench.run(endpoint, item={"nation": Slice(file=str(parents), take=4)})
    firsts = [r.time for r in bench.server.requests if r.params["page"] == "1"]
    assert (max(firsts) - min(firsts) < 2.9) == at_once
    assert list(dict.fromkeys(row["country"] for row in rows(summary))) == countries
    assert summary.sequences == 4


def test_a_copied_field_never_overwrites_one_of_the_record(bench: Bench) -> None:
    endpoint = Endpoint(
        request=COUNTRY.request,
        records="data",
        for_each={"nation": ForEachOptions(values=["AT"], copy={"icao": "code"})},
    )
    with pytest.raises(InvalidRecord, match="would overwrite the field 'icao'"):
        bench.run(endpoint, item={"nation": Slice(value={"code": "AT"})})


def test_a_copied_path_that_does_not_fit_the_parent_is_named(bench: Bench) -> None:
    endpoint = Endpoint(
        request=COUNTRY.request,
        records="data",
        for_each={"nation": ForEachOptions(values=["AT"], copy={"n": "length(code)"})},
    )
    with pytest.raises(
        InvalidRecord, match=r"'length\(code\)' does not fit .* for_each\.nation\.copy\.n"
    ):
        bench.run(endpoint, item={"nation": Slice(value={"code": 1})})


def test_fields_cannot_be_copied_into_single_values(bench: Bench) -> None:
    endpoint = Endpoint(
        request=Request(path="/countries"),
        records="data[].code",
        for_each={"nation": ForEachOptions(values=["AT"], copy={"n": "@"})},
    )
    with pytest.raises(InvalidRecord, match="a record that is a single value"):
        bench.run(endpoint, item={"nation": Slice(value="AT")})


@pytest.mark.parametrize("copy", [{}, {"seat": "seat"}])
def test_identical_records_are_dropped_within_a_task(
    bench: Bench, tmp_path: Path, copy: dict[str, str]
) -> None:
    parents = tmp_path / "same.jsonl"
    parents.write_text('{"code": "AT", "seat": 1}\n{"code": "AT", "seat": 2}\n')
    endpoint = Endpoint(
        request=COUNTRY.request,
        records="data",
        primary_key=["icao"],
        paginate=COUNTRY.paginate,
        for_each={"nation": ForEachOptions(endpoint="countries", copy=copy)},
    )
    summary = bench.run(endpoint, item={"nation": Slice(file=str(parents), take=2)})
    airports = len({row["icao"] for row in rows(summary)})
    assert summary.rows == airports * (2 if copy else 1)
    assert summary.duplicates == 2 * airports - summary.rows


def test_the_same_keys_under_fresh_cursors_are_a_loop(tmp_path: Path) -> None:
    def route(asked: Asked) -> Any:
        return {"data": [{"id": 1, "seen": len(api.asked)}], "next": f"c{len(api.asked)}"}

    with scripted(route) as api, OAuthSession(api.url, bearer_auth("t"), conn_id="crm") as session:
        endpoint = Endpoint(
            request=Request(path="/x"),
            records="data",
            primary_key="id",
            paginate=CursorPaginator(next="next", param="after"),
        )
        merged = _with(endpoint, FileDestination(path=str(tmp_path / "out")))
        run = EndpointRun(
            name="x",
            endpoint=merged,
            run_id="r",
            template_context={"endpoint": "x"},
            interval=Interval(None, NEW_YEAR),
            access=StoreAccess(lambda path, _conn_id: Path(path)),
        )
        with pytest.raises(PaginationLoop, match="Pages 2 to 4 hold nothing but records"):
            run_endpoint(run, session)
        assert len(api.asked) <= 8
    assert not list((tmp_path / "out").rglob("part-*"))


def test_numbers_keep_every_digit_where_records_are_encoded_again(tmp_path: Path) -> None:
    parent = b'{"id":0.10000000000000000000010,"big":123456789012345678901}'
    (tmp_path / "parents.jsonl").write_bytes(parent + b"\n")
    body = b'[{"n":1.10,"e":1E5,"d":0.1000000000000000000001,"i":18446744073709551616,"f":2.5}]'
    with (
        scripted(lambda _: Reply(body)) as api,
        OAuthSession(api.url, bearer_auth("t"), conn_id="crm") as session,
    ):
        endpoint = Endpoint(
            request=Request(path="/x/{{ p.id }}"),
            for_each={"p": ForEachOptions(endpoint="p", copy={"p_id": "id", "p_big": "big"})},
        )
        merged = _with(endpoint, FileDestination(path=str(tmp_path / "out")))
        run = EndpointRun(
            name="x",
            endpoint=merged,
            run_id="r",
            template_context={"endpoint": "x"},
            interval=Interval(None, NEW_YEAR),
            access=StoreAccess(lambda path, _conn_id: Path(path)),
            item={"p": Slice(file=str(tmp_path / "parents.jsonl"), take=1)},
        )
        summary = run_endpoint(run, session)
        assert api.paths == ["/x/0.10000000000000000000010"]
    written = Path(summary.files[0].path).read_bytes()
    copied = b',"p_id":0.10000000000000000000010,"p_big":123456789012345678901}\n'
    assert written == body[1:-2] + copied


def test_a_parent_that_is_gone_is_skipped_where_a_rule_says_so(
    bench: Bench, tmp_path: Path
) -> None:
    parents = tmp_path / "countries.jsonl"
    parents.write_text('{"code": "XX"}\n{"code": "AT"}\n')
    endpoint = Endpoint(
        request=COUNTRY.request,
        records="data",
        paginate=COUNTRY.paginate,
        for_each={"nation": "countries"},
        responses=[ResponseRule(status=404, action="skip")],
    )
    item = {"nation": Slice(file=str(parents), take=2)}
    assert {row["country"] for row in rows(bench.run(endpoint, item=item))} == {"AT"}


def test_a_failed_run_leaves_nothing_and_a_rerun_replaces_its_own_output(
    bench: Bench, oauth_server: OAuthTestServer
) -> None:
    endpoint = Endpoint(request=Request(path="/countries"), records=Records(path="data"))
    oauth_server.fault("/countries", status=400, body="no", times=1)
    with pytest.raises(ApiRequestFailed):
        bench.run(endpoint)
    folder = bench.folder / "airports" / "run_id=manual__1"
    assert list(folder.iterdir()) == []
    first = bench.run(endpoint)
    second = bench.run(endpoint)
    assert first.files == second.files
    assert sorted(path.name for path in folder.iterdir()) == ["_manifest.json", "part-00000.jsonl"]


def test_a_location_given_by_the_caller_overrides_the_spec(bench: Bench, tmp_path: Path) -> None:
    endpoint = Endpoint(request=Request(path="/countries"), records="data")
    summary = bench.run(endpoint, location=str(tmp_path / "mine"))
    assert summary.files[0].path == str(tmp_path / "mine" / "part-00000.jsonl")


def test_run_ids_become_one_folder_name(bench: Bench) -> None:
    endpoint = Endpoint(request=Request(path="/countries"), records="data")
    summary = bench.run(endpoint, run_id="scheduled__2026-01-01T00:00:00+00:00/x")
    assert "/run_id=scheduled__2026-01-01T00%3A00%3A00%2B00%3A00%2Fx/" in summary.manifest
    assert summary.as_dict()["files"][0]["rows"] == summary.rows


def test_a_cursor_path_that_finds_nothing_is_a_warning(bench: Bench) -> None:
    misspelled = CursorPaginator(
        next="pagin.next.after", param="after", size=50, size_param="limit"
    )
    summary = bench.run(
        Endpoint(request=Request(path="/cursor/airports"), records="data", paginate=misspelled)
    )
    assert (summary.rows, summary.sequences) == (50, 1)
    assert "no answer had a cursor at 'pagin.next.after'" in summary.warnings[0]


BOTH = Request(
    path="/page/airports",
    params={"updated_since": "{{ window.start }}", "updated_before": "{{ window.end }}"},
)


def test_a_window_with_equal_formatted_bounds_fails_the_run_before_any_request(
    oauth_server: OAuthTestServer, tmp_path: Path
) -> None:
    hourly = Interval(NEW_YEAR, NEW_YEAR + timedelta(hours=1))
    endpoint = Endpoint(
        request=BOTH, records="data", incremental=Incremental(field="updated_at", format="date")
    )
    with pytest.raises(SpecError) as caught:
        Bench(oauth_server, tmp_path).run(endpoint, interval=hourly)
    assert "is written '2026-01-01' to '2026-01-01' (incremental.format 'date')" in str(
        caught.value
    )
    assert list(tmp_path.rglob("_manifest.json")) == []
    assert [one for one in oauth_server.requests if one.path.startswith("/page")] == []


def test_a_window_with_equal_formatted_bounds_is_read_when_only_the_lower_is_sent(
    oauth_server: OAuthTestServer, tmp_path: Path
) -> None:
    endpoint = Endpoint(
        request=Request(path="/page/airports", params={"updated_since": "{{ window.start }}"}),
        records="data",
        incremental=Incremental(field="updated_at", format="date"),
    )
    hourly = Interval(NEW_YEAR, NEW_YEAR + timedelta(hours=1))
    assert Bench(oauth_server, tmp_path).run(endpoint, interval=hourly).sequences == 1
