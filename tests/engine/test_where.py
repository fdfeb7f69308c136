"""``where`` leaves out records; pages, totals and ends stay those of the API."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.engine.for_each import Slice
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary, add_up
from oauth_taskflow.errors import ApiRequestFailed, InvalidRecord
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import Asked, scripted
from tests.engine import cut_off
from tests.support.auth import bearer_auth

SPEC = """\
version: 1
dag_id: crm
connection: crm
endpoints:
  contacts:
    request: {path: /contacts}
    destination: {path: /nowhere/contacts}
  notes:
    request: {path: "/notes/{{ contact.id }}"}
    records: data
    paginate: {type: offset, size: 2, total: total}
    for_each: {contact: {endpoint: contacts, copy: {owner: id}}}
    where: "%s"
    destination: {path: "%s"}
"""
NOTES = [{"n": n, "to": f"c{n % 3}", "open": n % 2 == 0} for n in range(7)]


def read_spec(where: str, folder: Path) -> Spec:
    checked = check_text(SPEC % (where, folder / "out"))
    assert checked.spec is not None, list(map(str, checked.problems))
    return checked.spec


def route(asked: Asked) -> Any:
    begin = int(asked.query["offset"])
    return {"data": NOTES[begin : begin + 2], "total": len(NOTES)}


def pull(where: str, folder: Path, pages: list[Page] | None = None) -> EndpointSummary:
    parents = folder / "parents.jsonl"
    parents.write_text('{"id": "c1"}\n{"id": "c2"}\n')
    run = EndpointRun(
        name="notes",
        endpoint=read_spec(where, folder).endpoints["notes"],
        run_id="r",
        template_context={"endpoint": "notes"},
        interval=Interval(None, datetime(2026, 1, 1, tzinfo=timezone.utc)),
        access=StoreAccess(lambda path, _conn_id: Path(path)),
        item={"contact": Slice(file=str(parents), take=2)},
    )
    seen: list[Page] = [] if pages is None else pages
    with scripted(route) as api, OAuthSession(api.url, bearer_auth("t")) as session:
        return run_endpoint(run, session, on_page=seen.append)


def rows(summary: EndpointSummary) -> list[Any]:
    text = Path(summary.files[0].path).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_records_are_kept_by_fields_and_by_the_parents_fields(tmp_path: Path) -> None:
    summary = pull("open && to == contact.id", tmp_path)
    assert [(row["owner"], row["n"]) for row in rows(summary)] == [("c1", 4), ("c2", 2)]
    assert (summary.rows, summary.filtered, summary.duplicates) == (2, 12, 0)


def test_pages_and_totals_count_what_the_api_sent(tmp_path: Path) -> None:
    pages: list[Page] = []
    summary = pull("n == `0`", tmp_path, pages)
    assert (summary.pages, summary.rows) == (8, 2)
    assert [page.count for page in pages] == [2, 2, 2, 1] * 2


def test_the_number_of_filtered_records_is_in_manifest_summary_and_total(tmp_path: Path) -> None:
    summary = pull("open", tmp_path)
    manifest = json.loads(Path(summary.manifest).read_bytes())
    assert manifest["filtered"] == summary.filtered == summary.as_dict()["filtered"] == 6
    assert add_up("notes", [summary, summary]).filtered == 12


def test_a_condition_that_is_true_for_no_record_is_reported(tmp_path: Path) -> None:
    summary = pull("opne == `true`", tmp_path)
    (warning,) = summary.warnings
    assert warning == (
        "where left out all 14 records. If that is wrong, correct it: a field that no record has, or a number compared "
        "with a text, is true for none."
    )
    assert summary.rows == 0


def test_a_condition_that_does_not_fit_a_record_fails_with_the_page(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match=r"'to > `1`' of where .* at http://.*/notes/c1\?"):
        pull("to > `1`", tmp_path)
    assert not list(tmp_path.rglob("part-*"))


def test_a_default_condition_is_removed_by_null() -> None:
    text = SPEC % ("null", "/x")
    checked = check_text(
        text.replace('"null"', "null").replace(
            "connection: crm", "connection: crm\ndefaults: {where: open}"
        )
    )
    assert checked.spec is not None
    found = {name: endpoint.where for name, endpoint in checked.spec.endpoints.items()}
    assert found == {"contacts": "open", "notes": None}


def test_a_run_that_was_cut_off_counts_the_records_of_all_its_attempts(tmp_path: Path) -> None:
    api = cut_off.PagedApi("page", {"ann": 3}, {2})
    endpoint = cut_off.build_endpoint(tmp_path, "page", where="id == 'ann-1'")
    with pytest.raises(ApiRequestFailed):
        cut_off.pull(tmp_path, api, endpoint, ["ann"])
    summary = cut_off.pull(tmp_path, api, endpoint, ["ann"])
    assert (summary.resumed, summary.pages, summary.rows, summary.filtered) == (1, 4, 1, 5)
    assert summary.warnings == []
