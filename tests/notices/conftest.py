"""Stores of notices on every database, and one that goes by a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import ColumnElement, Double, bindparam

from oauth_taskflow.notices.store import NoticeStore, Topic
from tests.support.clock import FakeClock
from tests.tokens.conftest import real_store_url

__all__ = ["real_store_url"]


class ClockedNoticeStore(NoticeStore):
    """A store whose database lives on a fake clock."""

    def now(self) -> ColumnElement[float]:
        return bindparam(None, callable_=self._clock.now, type_=Double, unique=True)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[ClockedNoticeStore]:
    store = ClockedNoticeStore(f"sqlite:///{tmp_path}/n.db", clock=clock)
    yield store
    store.close()


@pytest.fixture
def real_store(real_store_url: str) -> Iterator[NoticeStore]:
    store = NoticeStore(real_store_url)
    yield store
    store.close()


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> Topic:
    """A connection that no other test uses: servers are shared."""
    return Topic(request.node.name[:250], "dag: log")
