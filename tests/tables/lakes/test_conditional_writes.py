"""A Delta Lake table on a server that lets one commit replace another: it is noticed, and the rows are written again."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("deltalake")

from deltalake import write_deltalake

from oauth_taskflow.destinations.tables import conditional_writes, delta
from oauth_taskflow.destinations.tables.conditional_writes import ignores_conditions
from tests.tables.kinds import KINDS, put, read_rows

(KIND,) = (kind for kind in KINDS if kind.name == "delta")


class Replacement:
    """Puts the commit of another run in the place of the newest one, as a store without conditions does, once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_done = False

    def __call__(self) -> None:
        """Replace the newest commit."""
        if not self._is_done:
            self._is_done = True
            newest = max(self._folder.rglob("_delta_log/*.json"))
            newest.unlink()
            put(KIND, self._folder, [{"id": 2}], "r2")
            assert max(self._folder.rglob("_delta_log/*.json")) == newest


def test_a_commit_that_is_replaced_at_once_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(KIND, tmp_path, [{"id": 0}], "r0")
    replace = Replacement(tmp_path)

    def write_and_lose(*args: Any, **options: Any) -> None:
        write_deltalake(*args, **options)
        replace()

    monkeypatch.setattr(delta, "write_deltalake", write_and_lose)
    put(KIND, tmp_path, [{"id": 1}], "r1")
    assert read_rows(KIND, tmp_path, "_run_id", "id") == [("r0", 0), ("r1", 1), ("r2", 2)]


def test_a_commit_that_is_replaced_a_moment_later_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(KIND, tmp_path, [{"id": 0}], "r0")
    replace = Replacement(tmp_path)
    monkeypatch.setattr(delta, "ignores_conditions", lambda _: True)
    monkeypatch.setattr(delta, "time", SimpleNamespace(sleep=lambda _: replace()))
    put(KIND, tmp_path, [{"id": 1}], "r1")
    assert read_rows(KIND, tmp_path, "_run_id", "id") == [("r0", 0), ("r1", 1), ("r2", 2)]


class Store:
    """A file system of S3 of which ``refuses`` says what a write on condition raises."""

    protocol = ("s3", "s3a")
    client_kwargs = None

    def __init__(self, endpoint: str | None, refuses: Exception | None) -> None:
        self.endpoint_url, self.refuses = endpoint, refuses
        self.names: set[str] = set()
        self.requests = 0

    def pipe_file(self, name: str, _data: bytes, mode: str = "overwrite") -> None:
        """Write an object."""
        self.requests += 1
        if mode == "create" and self.refuses is not None:
            raise self.refuses
        self.names.add(name)

    def rm_file(self, name: str) -> None:
        """Remove an object."""
        self.names.remove(name)


@pytest.mark.parametrize(
    ("store", "ignores", "requests"),
    [
        (Store("https://s3.example", None), True, 2),
        (Store("https://s3.example", FileExistsError()), False, 2),
        (Store("https://s3.example", OSError(38, "not implemented")), False, 2),
        (Store(None, None), False, 0),
    ],
    ids=["ignores", "keeps", "refuses", "amazon"],
)
def test_a_server_is_asked_once_and_told_of(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    store: Store,
    ignores: bool,
    requests: int,
) -> None:
    monkeypatch.setattr(conditional_writes, "_found", {})
    path = SimpleNamespace(fs=store, path="lake/crm/contacts")
    with caplog.at_level(logging.WARNING):
        assert [ignores_conditions(path) for _ in range(2)] == [ignores, ignores]
    assert len(caplog.records) == int(ignores)
    assert (store.requests, store.names) == (requests, set())
