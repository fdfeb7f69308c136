"""No message, log, progress, manifest or quarantine reason shows a value that ``fields.hash`` or ``fields.drop`` hides."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.specs.model import Endpoint
from tests.api.scripted import Asked, Reply, Route
from tests.engine.cut_off import pull

# Each canary has the mark, or the digits that stand for it where a number is wanted.
MARK, DIGITS = "Xq7canary", "8675309421"
KEYSET = {"type": "keyset", "key": "email", "param": "after", "size": 1}
PAGE = {"type": "page", "param": "at", "start": 0, "size": 1}
CAP = {"rows": 2, "then": "from_last_record", "field": "email", "param": "from"}

# name → what is written into the spec besides ``fields.hash`` or ``fields.drop``. All of them fail or warn.
SPECS: dict[str, dict[str, Any]] = {
    "date in a form": {"fields": {"dates": {"born": "iso"}}},
    "date in a pattern": {"fields": {"dates": {"born": "%d.%m.%Y"}}},
    "date in a rare pattern": {"fields": {"dates": {"born": "%j %Y %Z"}}},
    "date in any form": {"fields": {"dates": {"born": "any", "size": "any"}}},
    "dates by a pattern of names": {"fields": {"dates": {"bo*": "iso"}}},
    "date inside": {"fields": {"dates": {"person.birth": "iso"}}},
    "date in a list": {"fields": {"dates": {"list[]": "iso"}}},
    "date of a moved field": {"fields": {"move": {"born": "at"}, "dates": {"at": "iso"}}},
    "date of a lifted field": {"fields": {"spread": ["person"], "dates": {"own": "iso"}}},
    "date of a renamed field": {"fields": {"names": "snake_case", "dates": {"bornAt": "iso"}}},
    "date of a flattened field": {"fields": {"flatten": "_", "dates": {"person.birth": "iso"}}},
    "date of a collected field": {
        "fields": {"collect": {"more": {"keys": "bo*"}}, "dates": {"born": "iso"}}
    },
    "cast to integer": {"fields": {"cast": {"email": "integer"}}},
    "cast to decimal": {"fields": {"cast": {"email": "decimal"}}},
    "cast to boolean": {"fields": {"cast": {"size": "boolean"}}},
    "cast to json": {"fields": {"cast": {"email": "json"}}},
    "template with an unknown key": {"fields": {"set": {"x": "{{ record.person[record.email] }}"}}},
    "template with an unknown item": {"fields": {"set": {"x": "{{ record.list[record.size] }}"}}},
    "template that converts": {"fields": {"set": {"x": "{{ now.fromisoformat(record.email) }}"}}},
    "template that parses": {"fields": {"set": {"x": "{{ now.strptime(record.email, '%Y') }}"}}},
    "template that divides": {
        "fields": {"set": {"x": "{{ record.size // 0 }} {{ record.email }}"}}
    },
    "template in a text": {"fields": {"set": {"x": "a {{ record.person[record.email] }}"}}},
    "path that does not fit": {"fields": {"set": {"x": {"path": "abs(email)"}}}},
    "path that does not fit a list": {"fields": {"set": {"x": {"path": "sum(list)"}}}},
    "new field that is there": {"fields": {"set": {"email": "{{ record.email }}"}}},
    "where that does not fit": {"where": "abs(email) > `1`"},
    "where that does not fit a number": {"where": "starts_with(size, 'a')"},
    "keys out of order": {"paginate": KEYSET},
    "keys downwards": {"paginate": {**KEYSET, "order": "descending"}},
    "key of another kind": {"paginate": {**KEYSET, "key": "list"}},
    "key of numbers": {"paginate": {**KEYSET, "key": "size"}},
    "full page of one key": {"paginate": {**KEYSET, "overlap": True}},
    "cursor of the last record": {
        "paginate": {"type": "cursor", "last_record": "email", "param": "after"}
    },
    "flag that is none": {"paginate": {**PAGE, "more": {"path": "items[0].email"}}},
    "total that is none": {"paginate": {**PAGE, "total": {"path": "items[0].email"}}},
    "pages that are none": {"paginate": {**PAGE, "total_pages": "items[0].list"}},
    "URL that is none": {"paginate": {"type": "next_url", "next": "items[0].size"}},
    "cap": {"paginate": {**PAGE, "cap": CAP}},
    "cap by a number": {"paginate": {**PAGE, "cap": {**CAP, "field": "size"}}},
    "time that is none": {"incremental": {"field": "email", "start": "2026-01-01"}},
    "time in a form": {
        "incremental": {"field": "email", "start": "2026-01-01", "field_format": "epoch"}
    },
    "time outside the window": {
        "incremental": {"field": "born", "start": "2026-01-01", "keep": "window"}
    },
    "contract": {"contract": {"columns": "freeze", "schema": {"fields": {"id": "text"}}}},
    "contract by types": {
        "contract": {"types": "freeze", "schema": {"fields": {"id": "integer", "email": "integer"}}}
    },
    "contract that rejects": {
        "contract": {"types": "discard_row", "schema": {"fields": {"email": "integer"}}}
    },
    "checks": {
        "checks": {
            "unique": ["email"],
            "accepted_values": {"email": ["x"]},
            "warn": {"unique": ["list"], "accepted_values": {"size": [1]}},
        }
    },
    "hash of a mapping": {"fields": {"hash": ["person"]}},
    "records that are none": {"records": "items[0].email"},
    "path of records that does not fit": {"records": "items[*].abs(email)"},
    "parameter of a template": {
        "paginate": {**KEYSET, "param": None},
        "request": {"path": "/rows", "params": {"since": "{{ page.token | default(omit) }}"}},
    },
    "error of the API": {"paginate": PAGE},
}
# Every field of a record with a canary, under all names that a step may have given it.
FIELDS = ["email", "born*", "birth", "size", "flag", "page", "own", "at", "person_*", "more_*"]
HIDING: dict[str, dict[str, Any]] = {
    "hash": {"hash": [*FIELDS, "person.*", "more.*", "list[]"]},
    "drop": {"drop": [*FIELDS, "person", "more", "list"]},
    "drop by a pattern": {"drop": ["*"]},
}


def make_records(number: int, text: str) -> list[dict[str, Any]]:
    size = int(f"{DIGITS}{number}")
    return [
        {
            "id": number,
            "email": f"{chr(122 - number)}{text}@example.com",
            "born": f"31.02.{text}",
            "bornAt": f"31.02.{text}",
            "size": size,
            "flag": text,
            "page": text,
            "person": {"birth": f"32.01.{text}", "own": f"33.01.{text}"},
            "list": [text, size],
        }
    ]


def build_route(text: str) -> Route:
    """Returns an API with one record a page, whose third page fails, so that progress is kept."""

    def route(asked: Asked) -> Any:
        asked_again = {"after", "since", "from"} & set(asked.query)
        number = int(asked.query.get("at", 0)) + len(asked_again)
        if number > 1:
            return Reply({"message": "later"}, 503)
        return {"items": make_records(number, text), "more": True}

    return route


def run(
    folder: Path, options: dict[str, Any], hiding: dict[str, Any], on_error: str, text: str = MARK
) -> list[str]:
    """Returns all texts that two attempts of a run leave behind: errors with their causes, figures, files and logs."""
    given = {
        "request": {"path": "/rows"},
        "records": "items",
        "concurrency": 1,
        "destination": {"type": "file", "path": str(folder / "out"), "format": "jsonl"},
        **options,
        "fields": {**options.get("fields", {}), **hiding, "on_error": on_error},
    }
    endpoint = msgspec.convert(given, Endpoint)
    texts = []
    with collect_logs() as logs:
        for _ in range(2):
            folder.mkdir(exist_ok=True)
            try:
                summary = pull(folder, build_route(text), endpoint, ["ada"], hash_key="k" * 16)
                texts.append(msgspec.json.encode(summary).decode())
            except OAuthTaskflowError as error:
                texts.append("".join(traceback.format_exception(error)))
                texts.append(f"{error!r} {error.args} {vars(error)}")
    return [*texts, logs.getvalue(), *map(read_file, sorted(folder.rglob("*.*")))]


@contextmanager
def collect_logs() -> Iterator[StringIO]:
    logs, logger = StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(logs), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield logs
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def read_file(path: Path) -> str:
    """Returns the text of a file; of rejected records, which the manual says are whole, all but the record."""
    content = path.read_bytes()
    if "_rejected" not in path.name:
        return content.decode("latin-1")
    described = [json.loads(line) for line in content.splitlines()]
    return json.dumps([{**each, "record": None} for each in described])


def find_canaries(texts: list[str]) -> list[str]:
    return [text for text in texts if MARK in text or DIGITS in text]


@pytest.mark.slow
@pytest.mark.parametrize("hiding", HIDING)
@pytest.mark.parametrize("name", SPECS)
def test_nothing_shows_what_fields_hide(tmp_path: Path, name: str, hiding: str) -> None:
    for on_error in ("fail", "quarantine"):
        assert find_canaries(run(tmp_path / on_error, SPECS[name], HIDING[hiding], on_error)) == []


@pytest.mark.no_cover
@pytest.mark.slow
@given(
    names=st.tuples(st.sampled_from(sorted(SPECS)), st.sampled_from(sorted(SPECS))),
    hiding=st.sampled_from(sorted(HIDING)),
    on_error=st.sampled_from(["fail", "keep", "null", "quarantine"]),
    around=st.tuples(st.text(max_size=6), st.text(max_size=40)),
)
def test_no_combination_shows_what_fields_hide(
    names: tuple[str, str], hiding: str, on_error: str, around: tuple[str, str]
) -> None:
    first, second = (SPECS[name] for name in names)
    options = {**first, **second, "fields": {**first.get("fields", {}), **second.get("fields", {})}}
    with TemporaryDirectory() as folder:
        texts = run(Path(folder), options, HIDING[hiding], on_error, MARK.join(around))
    assert find_canaries(texts) == []


@pytest.mark.slow
def test_the_same_failures_show_values_that_nothing_hides(tmp_path: Path) -> None:
    shown = {
        name
        for name, options in SPECS.items()
        if find_canaries(
            [text for text in run(tmp_path / name, options, {}, "fail") if "Traceback" in text]
        )
    }
    assert set(SPECS) - shown == {
        "contract that rejects",
        "error of the API",
        "hash of a mapping",
        "new field that is there",
        "records that are none",
        "template that divides",
    }


def test_a_value_that_is_surely_not_dropped_shows(tmp_path: Path) -> None:
    options = {"fields": {"move": {"born": "birth"}, "dates": {"birth": "iso"}}}
    (first, *_) = run(tmp_path, options, {"drop": ["email", "person.own"]}, "fail")
    assert f"the text '31.02.{MARK}'" in first
