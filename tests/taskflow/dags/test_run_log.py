"""The log of an endpoint task, while a run goes on and when it is cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.errors import ApiError
from oauth_taskflow.taskflow.dags.run_log import PageLog
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import PagedApi, build_endpoint, pull
from tests.support.clock import FakeClock


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, msg: str, /, *args: Any) -> None:
        self.lines.append(msg % args)

    warning = info


@pytest.mark.parametrize("concurrency", [1, 8])
def test_hundreds_of_parents_are_few_lines(tmp_path: Path, concurrency: int) -> None:
    log, clock, names = Lines(), FakeClock(), [f"p{n}" for n in range(600)]

    def answer(asked: Asked) -> Reply:
        clock.advance(0.1)
        return PagedApi("cursor", {}).answer(asked, asked.path, 0, 1)

    endpoint = build_endpoint(tmp_path, "cursor", concurrency=concurrency)
    with PageLog(log, "rows", clock, sequences=600, parents=600) as progress:
        watchers: dict[str, Any] = {"on_page": progress, "on_sequence": progress.begin}
        pull(tmp_path, answer, endpoint, names, resume=None, **watchers)
    assert len(log.lines) <= 1 + 6 + 11
    text = "\n".join(log.lines)
    assert "of 600 ended, parent record " in text
    assert "sequences more ended: " in log.lines[-1]


def test_a_run_that_is_cut_off_ends_with_the_place(tmp_path: Path) -> None:
    log, clock = Lines(), FakeClock()
    api = PagedApi("cursor", {"ann": 2, "bob": 2}, cuts={3})
    endpoint = build_endpoint(tmp_path, "cursor")
    with (
        pytest.raises(ApiError),
        PageLog(log, "rows", clock, sequences=2, parents=2) as progress,
    ):
        pull(tmp_path, api, endpoint, ["ann", "bob"], on_page=progress, on_sequence=progress.begin)
    assert len(log.lines) == 3
    assert log.lines[-1].startswith(
        "rows: sequence 2 of 2 was cut off, parent record 2 of 2: 1 pages"
    )
    assert log.lines[-1].endswith("https://api.example.com/rows/bob")
