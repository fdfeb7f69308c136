"""``fields`` on its way from an API to files: windows, parents, keys, watermarks, errors and figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.engine.for_each import ParentFile, build_mapped_items, for_each_options
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import InvalidRecord, SpecError, TemplateFailed
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import Asked, ScriptedApi, scripted
from tests.support.auth import bearer_auth

SPEC = """\
version: 1
dag_id: crm
connection: crm
params: {source: crm}
defaults: {destination: {path: "/nowhere/{{ endpoint }}"}}
endpoints:
  contacts:
    request: {path: /contacts, params: {since: "{{ window.start }}", until: "{{ window.end }}"}}
    records: data
    paginate: {type: page, size: 2}
    primary_key: contact_id
    incremental: {field: updated_at, start: 2026-01-01, step: P1D, without_interval: start}
    where: "!deleted"
    fields:
      move: {id: contactId}
      set:
        day: "{{ window.start }}"
        read_at: "{{ now }}"
        source: "{{ params.source }}"
        label: "{{ record.name | upper }} {{ now.year }}"
      dates: {updatedAt: "%d/%m/%Y %H:%M", "*On": any}
      cast: {contactId: text, total: decimal}
      names: snake_case
      drop: [stats]
      MORE
  notes:
    request: {path: "/contacts/{{ contact.contact_id }}/notes"}
    for_each: {contact: {endpoint: contacts, copy: {owner: contact_id}}}
    fields: {move: {owner: contactOwner}, set: {day: "{{ contact.day }}"}, names: snake_case}
"""
JANUARY = Interval(
    datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 3, tzinfo=timezone.utc)
)


def read_spec(more: str = "") -> Spec:
    checked = check_text(SPEC.replace("      MORE\n", f"      {more}\n" if more else ""))
    assert checked.spec is not None, list(map(str, checked.problems))
    return checked.spec


def contact(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"n{number}",
        "total": "12.50",
        "updatedAt": f"0{number % 8 + 1}/01/2026 10:00",
        "bornOn": "1990-01-31",
        "stats": {"a": 1},
        **fields,
    }


def serve(*contacts: Mapping[str, Any]) -> Callable[[Asked], Any]:
    def route(asked: Asked) -> Any:
        if asked.path.endswith("/notes"):
            return [{"text": asked.path}]
        begin = (int(asked.query["page"]) - 1) * 2
        return {"data": list(contacts[begin : begin + 2])}

    return route


def pull(
    folder: Path, name: str, route: Any, spec: Spec | None = None, **options: Any
) -> tuple[EndpointSummary, ScriptedApi]:
    run = EndpointRun(
        **{
            "name": name,
            "endpoint": (spec or read_spec()).endpoints[name],
            "run_id": "r",
            "template_context": {"endpoint": name, "params": {"source": "crm"}},
            "interval": JANUARY,
            "access": StoreAccess(lambda path, _conn_id: Path(path)),
            "location": str(folder / name),
            **options,
        }
    )
    with scripted(route) as api, OAuthSession(api.url, bearer_auth("t")) as session:
        return run_endpoint(run, session), api


def rows(summary: EndpointSummary) -> list[Any]:
    text = Path(summary.files[0].path).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_keys_watermark_and_destination_see_the_new_fields(tmp_path: Path) -> None:
    summary, _ = pull(tmp_path, "contacts", serve(contact(1), contact(2), contact(3, deleted=True)))
    first, second = rows(summary)
    read_at = first.pop("read_at")
    assert first == {
        "name": "n1",
        "total": 12.5,
        "updated_at": "2026-01-02T10:00:00Z",
        "born_on": "1990-01-31T00:00:00Z",
        "contact_id": "1",
        "day": "2026-01-01T00:00:00Z",
        "source": "crm",
        "label": f"N1 {datetime.now(timezone.utc).year}",
    }
    assert read_at == second["read_at"]
    assert read_at.endswith("Z")
    assert '"total":12.50' in Path(summary.files[0].path).read_text()
    assert summary.watermark == "2026-01-03T10:00:00Z"
    # Two windows with the same records: the second is all repeats.
    assert (summary.rows, summary.duplicates, summary.filtered) == (2, 2, 2)


def test_children_read_the_new_names_of_their_parents(tmp_path: Path) -> None:
    spec = read_spec()
    parents, _ = pull(tmp_path, "contacts", serve(contact(1)), spec)
    files = [ParentFile(file=file.path, rows=file.rows) for file in parents.files]
    (item,) = build_mapped_items(for_each_options(spec.endpoints["notes"]), {"contacts": files})
    notes, _ = pull(tmp_path, "notes", serve(), spec, item=item)
    assert rows(notes) == [
        {"text": "/contacts/1/notes", "contact_owner": "1", "day": "2026-01-01T00:00:00Z"}
    ]


def test_paging_counts_rows_as_they_came(tmp_path: Path) -> None:
    contacts = [contact(number, deleted=number > 1) for number in range(1, 6)]
    summary, api = pull(tmp_path, "contacts", serve(*contacts))
    assert summary.rows == 1
    pages = [asked.query["page"] for asked in api.asked]
    assert sorted(pages) == ["1", "1", "2", "2", "3", "3"]


def test_an_error_names_field_record_and_page_and_leaves_nothing(tmp_path: Path) -> None:
    route = serve(contact(1), contact(2), contact(3), contact(4, total="12,50"))
    with pytest.raises(InvalidRecord) as failure:
        pull(tmp_path, "contacts", route)
    message = str(failure.value)
    assert message.startswith(
        "The field 'total' cannot be cast to decimal: it is the text '12,50' in record 2 of the page at http://"
    )
    assert "page=2" in message
    assert not list(tmp_path.rglob("part-*"))


def test_a_template_error_names_record_and_page(tmp_path: Path) -> None:
    with pytest.raises(TemplateFailed, match=r"record 1 of the page at http://.*/contacts\?"):
        pull(tmp_path, "contacts", serve({"id": 1}))


@pytest.mark.parametrize(("word", "value"), [("keep", "12,50"), ("null", None)])
def test_what_cannot_be_converted_is_kept_or_made_null_and_reported(
    tmp_path: Path, word: str, value: Any
) -> None:
    spec = read_spec(f"on_error: {word}")
    summary, _ = pull(tmp_path, "contacts", serve(contact(1, total="12,50")), spec)
    assert rows(summary)[0]["total"] == value
    done = "kept as they are" if word == "keep" else "made null"
    text = f"fields.cast: 2 values at 'total' could not be converted, and were {done}."
    assert text in summary.warnings


def test_without_a_key_nothing_is_hashed_and_nothing_is_asked(tmp_path: Path) -> None:
    spec = read_spec("hash: [name]")
    with (
        scripted(serve()) as api,
        pytest.raises(SpecError, match="needs a key, and this deployment"),
    ):
        pull(tmp_path, "contacts", api.route, spec)
    assert api.asked == []


def test_hashes_are_the_same_in_every_run_with_the_key(tmp_path: Path) -> None:
    spec = read_spec("hash: {fields: [name], length: 16}")
    found = [
        rows(pull(tmp_path / run, "contacts", serve(contact(1)), spec, hash_key=key)[0])[0]["name"]
        for run, key in (("a", "k" * 16), ("b", "k" * 16), ("c", "l" * 16))
    ]
    assert found[0] == found[1] != found[2]
    assert [len(name) for name in found] == [16] * 3


def test_the_key_is_in_no_repr() -> None:
    run = EndpointRun(
        "a",
        read_spec().endpoints["contacts"],
        "r",
        {},
        JANUARY,
        StoreAccess(lambda path, _: Path(path)),
        hash_key="s3cret",
    )
    assert "s3cret" not in repr(run)


@pytest.mark.parametrize(("path", "pages", "kept"), [("updated", 2, 2), ("created", 4, 1)])
def test_newest_first_ends_by_the_times_that_fields_write(
    tmp_path: Path, path: str, pages: int, kept: int
) -> None:
    text = """\
version: 1
dag_id: crm
connection: crm
endpoints:
  contacts:
    request: {path: /contacts}
    records: data
    paginate: {type: page, size: 2}
    incremental: {field: created, keep: window, order: newest_first, start: 2026-01-01, without_interval: start}
    fields: {move: {PATH: created, created: old}, dates: {created: "%d/%m/%Y"}}
    destination: {path: /nowhere}
""".replace(
        "{PATH: created, created: old}",
        "{updated: created, created: old}" if path == "updated" else "{}",
    )
    checked = check_text(text)
    assert checked.spec is not None, list(map(str, checked.problems))
    # The API's own "created" is old in every record, and "updated" falls from day to day.
    days = ["03", "02", "01", "01", "01", "01", "01"]
    contacts = [
        {
            "created": f"0{9 - n}/01/2026" if path == "created" else "01/01/1990",
            "updated": f"{day}/01/2026",
        }
        for n, day in enumerate(days)
    ]
    interval = Interval(
        datetime(2026, 1, 2, tzinfo=timezone.utc), datetime(2026, 1, 4, tzinfo=timezone.utc)
    )
    summary, api = pull(tmp_path, "contacts", serve(*contacts), checked.spec, interval=interval)
    assert len(api.asked) == pages
    assert summary.rows == kept
