"""Fixtures that the tests of all examples share."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.taskflow.conftest import SetConnection
from tests.taskflow.examples.play import TOKEN, Play, Played, Simulator, play


@pytest.fixture
def play_example(tmp_path: Path, set_connection: SetConnection) -> Play:
    """Runs an example with the connection that it names, at a simulator's address."""

    def run(name: str, simulator: Simulator, run: str = "run", **options: Any) -> Played:
        return play(name, simulator, tmp_path / run, connect=partial(_connect, name), **options)

    def _connect(name: str, url: str) -> None:
        set_connection(
            name,
            {
                "conn_type": "oauth2",
                "host": url,
                "password": TOKEN,
                "extra": {"auth_type": "bearer"},
            },
        )

    return run
