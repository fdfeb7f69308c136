"""The cursor that an API gives for the next run is stored without the secrets of the connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from oauth_taskflow.api.additions import AddingAuth, Additions
from oauth_taskflow.api.auth import NoAuth
from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.request import Request
from oauth_taskflow.specs.windows import Incremental
from tests.api.scripted import Asked, Reply
from tests.engine.test_positions import IDENTITY, Bench, endpoint

KEY = "k3y/of+the=api"
KEYED = AddingAuth(NoAuth(), Additions({"key": KEY}))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def delta_by_link() -> Endpoint:
    return endpoint(
        Incremental(by="watermark", cursor="link"),
        request=Request(path="/d", params={"from": "{{ watermark.cursor | default('') }}"}),
    )


def test_a_link_is_stored_without_the_keys_that_it_repeats(bench: Bench) -> None:
    def route(asked: Asked) -> Any:
        assert asked.query["key"] == KEY
        return {"data": [], "link": f"https://api.example/d?key={quote(KEY, safe='')}&from=&page=2"}

    for run_id in ("a", "b"):
        _, summary = bench.run(run_id, delta_by_link(), route, auth=KEYED)
    manifest = Path(summary.manifest).read_text()
    assert quote(KEY, safe="") not in manifest
    assert KEY not in manifest
    assert bench.asked[0]["from"] == "https://api.example/d?from=&page=2"


def test_a_cursor_with_a_key_in_it_is_not_stored(bench: Bench) -> None:
    answer = {"data": [], "link": f"https://api.example/{KEY}/next"}
    with pytest.raises(InvalidRecord, match="holds a secret of the connection") as caught:
        bench.run("a", delta_by_link(), lambda _: answer, auth=KEYED)
    assert KEY not in str(caught.value)
    assert bench.store.list_pending(IDENTITY) == []


def test_an_error_that_says_nothing_of_the_cursor_fails_and_keeps_it(bench: Bench) -> None:
    spec = endpoint(
        Incremental(by="watermark", cursor="after"),
        request=Request(path="/d", params={"from": "{{ watermark.cursor | default('') }}"}),
    )
    bench.run("a", spec, lambda _: {"data": [{"id": 1}], "after": "1"})
    with pytest.raises(ApiStatusError, match="403"):
        bench.run("b", spec, lambda _: Reply({"error": "no"}, 403))
    rows, _ = bench.run("c", spec, lambda _: {"data": [{"id": 2}], "after": "2"})
    assert (rows, bench.asked[0]) == ([{"id": 2}], {"from": "1"})
