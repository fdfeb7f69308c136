"""A server that is killed at a write boundary: no consent is handed out twice, and nothing is left after its minutes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_taskflow.consents.sql import Parked, Parking, SqlConsentStore
from tests.consents.conftest import STATE, make_pending
from tests.consents.test_sql import age_rows, read_table
from tests.tokens.conftest import KEY

pytestmark = pytest.mark.slow
ANSWER = (("code", "c"), ("state", STATE))
BOUNDARIES = [(number, moment) for number in (0, 1) for moment in ("before", "after")]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tokens.db'}"


@pytest.fixture
def store(url: str) -> Iterator[SqlConsentStore]:
    store = SqlConsentStore(url, [KEY])
    yield store
    age_rows(url, 3600)
    store.drop_expired()
    assert read_table(url) == []
    store.close()


def kill_at(url: str, step: str, secret: str, number: int, moment: str) -> None:
    command = [sys.executable, "-m", "tests.consents.killed_server"]
    done = subprocess.run(
        [*command, url, KEY, step, secret, f"{number}:{moment}"], check=False, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]


@pytest.mark.parametrize(("number", "moment"), BOUNDARIES)
def test_a_consent_that_did_not_begin_can_begin_again(
    store: SqlConsentStore, url: str, number: int, moment: str
) -> None:
    store.drop_expired()
    kill_at(url, "begin", STATE, number, moment)
    is_kept = (number, moment) == (1, "after")
    assert len(read_table(url)) == int(is_kept)
    store.begin(make_pending(state="another"))
    assert isinstance(store.park("another", ANSWER), Parked)


@pytest.mark.parametrize(("number", "moment"), BOUNDARIES)
def test_an_answer_is_parked_or_can_be_parked_again(
    store: SqlConsentStore, url: str, number: int, moment: str
) -> None:
    store.begin(make_pending(state=STATE))
    kill_at(url, "park", STATE, number, moment)
    again = store.park(STATE, ANSWER)
    if (number, moment) == (1, "after"):
        assert again is Parking.REPEATED
    else:
        assert isinstance(again, Parked)


@pytest.mark.parametrize(("number", "moment"), BOUNDARIES)
def test_a_consent_is_never_handed_out_twice(
    store: SqlConsentStore, url: str, number: int, moment: str
) -> None:
    store.begin(make_pending(state=STATE))
    parked = store.park(STATE, ANSWER)
    assert isinstance(parked, Parked)
    kill_at(url, "take", parked.ticket, number, moment)
    again = store.take(parked.ticket)
    assert (again is not None) == ((number, moment) == (0, "before"))
