"""Tables of lakes in a store that refuses, slows down, hangs up or loses an answer midway: the run whole or not, one error."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

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
from tests.tables.lakes.attempts import Attempt, AttemptOptions

FACTS = EndpointFacts(("id",))
OLD = [{"id": number, "tag": "old"} for number in range(3)]
# The other process writes one row more.
NEW = [(number, "new") for number in range(4)]


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, servers: None) -> Kind:
    """The kind of table under test."""
    return KINDS[request.param]


def attempt(kind: Kind, folder: Path, proxy: FaultyProxy, mode: str = "replace_run") -> str:
    """How an attempt through the proxy ends; in a process of its own, because deltalake lets no other thread run meanwhile."""
    options = AttemptOptions("new", mode=mode, environment={S3_URL: proxy.url})
    return Attempt(kind, folder, options).run()


def rows_of(kind: Kind, folder: Path) -> list[tuple[object, ...]]:
    return read_rows(kind, folder, "id", "tag")


@pytest.mark.parametrize("mode", ["replace_run", pytest.param("merge", marks=pytest.mark.full)])
@pytest.mark.parametrize("fault", ["503", "lost", "slow", "answer lost"])
def test_a_store_that_fails_now_and_then_gets_a_run_once(
    kind: Kind, tmp_path: Path, proxy: FaultyProxy, fault: str, mode: str
) -> None:
    put(kind, tmp_path, OLD, facts=FACTS, mode=mode)
    proxy.fault = lambda number, _method, _path: fault if number % 7 == 3 else None
    ended = attempt(kind, tmp_path, proxy, mode)
    assert ended.startswith("won"), ended
    assert len(proxy.asked) > 10
    assert rows_of(kind, tmp_path) == NEW


def is_data(_number: int, method: str, path: str) -> str | None:
    return "403" if method == "PUT" and ".parquet" in path else None


def is_log(_number: int, method: str, path: str) -> str | None:
    is_log = "_delta_log" in path or "/metadata/" in path
    return "403" if method == "PUT" and is_log else None


@pytest.mark.parametrize("refuses", [is_data, is_log])
def test_a_store_that_refuses_midway_shows_the_table_before_and_one_error(
    kind: Kind,
    tmp_path: Path,
    proxy: FaultyProxy,
    refuses: Callable[[int, str, str], str | None],
) -> None:
    put(kind, tmp_path, OLD)
    proxy.fault = refuses
    ended = attempt(kind, tmp_path, proxy)
    proxy.fault = lambda *_: None
    assert ended.startswith("lost Committing to the table failed"), ended
    assert len(ended.splitlines()) == 1
    assert re.search("Access|403|privileges", ended), ended
    assert rows_of(kind, tmp_path) == [(number, "old") for number in range(3)]
    ended = attempt(kind, tmp_path, proxy)
    assert ended.startswith("won"), ended
    assert rows_of(kind, tmp_path) == NEW
