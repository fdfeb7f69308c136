"""A capped window that is cut off goes on after its last complete part: complete, each record once, parts asked for once."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.engine.resume import ResumeOptions
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import ApiError
from tests.api.pull.styles import WithoutSockets
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import SEAL
from tests.engine.test_capped import DAY, WALK, Search, narrow
from tests.engine.yaml_run import read_endpoint
from tests.support.auth import bearer_auth

ROWS = 90


def attempt_until_done(text: str, route: Any, folder: Path) -> EndpointSummary:
    """Runs the endpoint, which any error answer cuts off, until an attempt comes to the end."""
    endpoint = read_endpoint(text.replace("start: 2026-01-01", "start: 2026-01-01, step: PT12H"))
    run = EndpointRun(
        name="items",
        endpoint=endpoint,
        run_id="r",
        template_context={"endpoint": "items", "params": {}},
        interval=DAY,
        access=StoreAccess(lambda path, _conn_id: Path(path)),
        location=str(folder),
        resume=ResumeOptions(seal=SEAL, keep_every=0.0),
    )
    for _ in range(100):
        session = OAuthSession(
            "https://api.example.com", bearer_auth("t"), retry=RetryPolicy(attempts=1)
        )
        session.mount("https://", WithoutSockets(route))
        try:
            return run_endpoint(run, session)
        except ApiError as error:
            assert "503" in error.what  # noqa: PT017 - no other error is expected
    pytest.fail("no attempt came to the end")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "text",
    [narrow(total="exact"), narrow(), WALK.replace("FORMAT", "iso")],
    ids=["announced", "found", "walked"],
)
def test_each_record_comes_once_however_often_the_pull_is_cut_off(
    text: str, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    seconds = [chance.randrange(86_400) for _ in range(ROWS)]
    search = Search(seconds, total="exact" if "total:" in text else "none")

    def route(asked: Asked) -> Any:
        return Reply({}, 503) if chance.random() < 0.06 else search(asked)

    summary = attempt_until_done(text, route, tmp_path)
    lines = [line for file in summary.files for line in Path(file.path).read_text().splitlines()]
    assert sorted(json.loads(line)["id"] for line in lines) == list(range(ROWS))


@pytest.mark.slow
@pytest.mark.parametrize("text", [narrow(total="exact"), narrow()], ids=["announced", "found"])
@pytest.mark.parametrize("cut", [0, 3, 9, 14, 20, 26, 29])
def test_a_capped_window_goes_on_after_its_last_complete_part(
    text: str, cut: int, tmp_path: Path
) -> None:
    search = Search(
        [960 * number for number in range(ROWS)], total="exact" if "total:" in text else "none"
    )
    asked: list[str] = []
    uncut: list[str] = []

    def route(request: Asked) -> Any:
        asked.append(request.target)
        return Reply({}, 503) if len(asked) == cut + 1 else search(request)

    # With requests in flight, as many windows are lost as were asked for at once.
    text += "concurrency: 1\n"
    whole = attempt_until_done(text, search_counting(search, uncut), tmp_path / "uncut")
    done = attempt_until_done(text, route, tmp_path / "cut")
    assert read_lines(done) == read_lines(whole)
    assert (done.rows, done.pages) == (whole.rows, whole.pages)
    # Again come: the request that failed, the pages of its part, and page one of the windows that were halved for it.
    assert len(asked) - len(uncut) <= 1 + 4 + 3 * (1 if "total:" in text else 4)


def search_counting(search: Search, asked: list[str]) -> Any:
    def route(request: Asked) -> Any:
        asked.append(request.target)
        return search(request)

    return route


def read_lines(summary: EndpointSummary) -> list[str]:
    return [line for file in summary.files for line in Path(file.path).read_text().splitlines()]
