"""The whole way on a real authorization server and API: login, pages, expiry, faults, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow.api.login_source import Login, LoginTokenSource
from oauth_taskflow.api.options import (
    CursorPaginator,
    LinkHeaderPaginator,
    NextUrlPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginate,
    Records,
)
from oauth_taskflow.api.pull.keys.dedupe import Deduplicator
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.engine.stages import DedupeStage, WatermarkStage
from oauth_taskflow.errors import ForeignOriginRefused, PaginationLoop
from oauth_taskflow.testing.server import OAuthTestServer
from tests.api.scripted import FakeClock

NORWAY: dict[str, Any] = {"country": "NO"}
DATA = Records(path="data")
Start = Callable[..., tuple[OAuthTestServer, OAuthSession]]


@pytest.fixture
def start() -> Iterator[Start]:
    """A server and a session that logs in there; both use one fake clock."""
    with ExitStack() as stack:

        def begin(**options: Any) -> tuple[OAuthTestServer, OAuthSession]:
            clock = FakeClock()
            server = stack.enter_context(OAuthTestServer(clock=clock, **options))
            fields = {
                "username": server.credentials.username,
                "password": server.credentials.password,
            }
            source = LoginTokenSource(Login(f"{server.base_url}/auth/token", fields), clock=clock)
            return server, stack.enter_context(OAuthSession(server.base_url, source, clock=clock))

        yield begin


STYLES: list[tuple[str, Records, Paginate]] = [
    ("page", DATA, PageNumberPaginator(size=25, size_param="per_page")),
    (
        "page",
        DATA,
        PageNumberPaginator(size=25, size_param="per_page", total_pages="meta.pages", prefetch=3),
    ),
    ("offset", DATA, OffsetPaginator(size=25, total="total_entries")),
    ("offset", DATA, OffsetPaginator(size=25, advance="size", prefetch=4)),
    (
        "cursor",
        DATA,
        CursorPaginator(next="paging.next.after", param="after", size=25, size_param="limit"),
    ),
    ("link", Records(), LinkHeaderPaginator()),
    ("next", DATA, NextUrlPaginator(next="links.next")),
]


@pytest.mark.parametrize(("style", "records", "paginate"), STYLES)
def test_every_style_reads_the_same_airports(
    start: Start, style: str, records: Records, paginate: Paginate
) -> None:
    _, session = start()
    request = ApiRequest(f"/{style}/airports", params={**NORWAY, "per_page": 25})
    pages = pull(session, request, paginate=paginate, records=records, decode=True)
    codes = [record["icao"] for page in pages for record in page.records]
    expected = session.get("/page/airports", params={**NORWAY, "per_page": 1000}).json()["data"]
    assert codes == [row["icao"] for row in expected]
    assert len(codes) > 50


def test_tokens_that_expire_between_pages_go_unnoticed(start: Start) -> None:
    server, session = start(token_lifetime=60.0)
    clock = session._clock
    records = session.paginate(
        "/page/airports",
        records="data",
        params=NORWAY,
        paginate=PageNumberPaginator(size=5, size_param="per_page"),
    )
    codes = []
    for record in records:
        codes.append(record["icao"])
        # The two pages that may be read while a request is on its way take less than a token lives.
        clock.sleep(4)
    logins = [request for request in server.requests if request.path == "/auth/token"]
    assert len(codes) == len(set(codes)) > 50
    assert len(logins) > 3


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"drop": True}, {"status": 429, "headers": {"Retry-After": "2"}}]
)
def test_faults_in_the_middle_lose_and_repeat_nothing(start: Start, fault: dict[str, Any]) -> None:
    server, session = start()
    server.fault("/offset/airports", times=3, **fault)
    request = ApiRequest("/offset/airports", params=NORWAY)
    pages = pull(
        session, request, paginate=OffsetPaginator(size=20, total="total_entries"), records=DATA
    )
    codes = [msgspec.json.decode(row)["icao"] for page in pages for row in page.records]
    assert len(codes) == len(set(codes)) > 50


@pytest.mark.parametrize(
    "paginate",
    [
        CursorPaginator(next="paging.next.after", param="after"),
        NextUrlPaginator(next="links.next"),
        LinkHeaderPaginator(),
        OffsetPaginator(size=5),
    ],
)
def test_an_api_that_repeats_its_pages_is_a_loop(start: Start, paginate: Paginate) -> None:
    server, session = start()
    request = ApiRequest("/loop/airports", params={"limit": 5})
    with pytest.raises(PaginationLoop):
        list(pull(session, request, paginate=paginate, records=DATA))
    assert len([logged for logged in server.requests if logged.path == "/loop/airports"]) <= 3


@pytest.mark.parametrize(
    ("path", "paginate", "records"),
    [
        ("/next/airports", NextUrlPaginator(next="links.next"), DATA),
        ("/link/airports", LinkHeaderPaginator(), Records()),
    ],
)
def test_a_next_link_under_another_name_of_the_host_is_refused(
    start: Start, path: str, paginate: Paginate, records: Records
) -> None:
    _, session = start()
    request = ApiRequest(path, params={"links": "foreign"})
    with pytest.raises(ForeignOriginRefused, match="http://localhost:"):
        list(pull(session, request, paginate=paginate, records=records))


def test_airports_land_in_a_file_with_key_and_watermark(start: Start, tmp_path: Path) -> None:
    _, session = start()
    request = ApiRequest("/cursor/airports", params=NORWAY)
    paginate = CursorPaginator(next="paging.next.after", param="after", size=20, size_param="limit")
    output = transfer(
        pull(session, request, paginate=paginate, records=DATA),
        FolderDestination(tmp_path, "jsonl"),
        Run("airports"),
        stages=[WatermarkStage(Watermark("updated_at")), DedupeStage(Deduplicator(["icao"]))],
    )
    lines = (tmp_path / output.files[0]).read_bytes().splitlines()
    times = [msgspec.json.decode(line)["updated_at"] for line in lines]
    assert (len(lines), max(times)) == (output.summary.rows, output.summary.watermark)


def test_a_shorter_token_life_is_followed_without_a_restart(start: Start) -> None:
    server, session = start()
    assert session.get("/page/airports").status_code == 200
    server.policy = replace(server.policy, lifetime=5.0)
    server.revoke_access_tokens()
    assert session.get("/page/airports").status_code == 200
