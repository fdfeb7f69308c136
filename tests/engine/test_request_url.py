"""Requests to a base URL or URL of the spec's own: where they go, and that no credential goes elsewhere."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.origins import Origin
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.engine.rendered_request import render_request
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.errors import ForeignOriginRefused, TemplateFailed
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.request import Request
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import Asked, ScriptedApi, scripted
from tests.engine.yaml_run import utc
from tests.support.auth import bearer_auth


def target(context: dict[str, Any] | None = None, **request: Any) -> str:
    return render_request(Endpoint(request=Request(**request)), context or {}).path


@pytest.mark.parametrize(
    ("request_", "url"),
    [
        ({"base_url": "{{ u }}", "path": "/v3/a"}, "https://eu.x.example/api/v3/a"),
        ({"base_url": "{{ u }}/", "path": "v3/a?x=1"}, "https://eu.x.example/api/v3/a?x=1"),
        ({"base_url": "{{ u }}", "path": "/"}, "https://eu.x.example/api/"),
        ({"base_url": "{{ u }}", "path": "?x=1"}, "https://eu.x.example/api?x=1"),
        (
            {"base_url": "https://{{ r }}.x.example/{{ t }}", "path": "/a"},
            "https://eu.x.example/a%20b%2Fc/a",
        ),
        ({"base_url": "http://[::1]:8080", "path": "/a"}, "http://[::1]:8080/a"),
        ({"url": "{{ f }}"}, "https://files.x.example/f?sig=a%2Fb&x=%2B"),
        ({"url": "https://x.example/{{ t }}?r={{ r }}"}, "https://x.example/a%20b%2Fc?r=eu"),
    ],
)
def test_where_a_request_goes(request_: dict[str, str], url: str) -> None:
    context = {
        "u": "https://eu.x.example/api",
        "r": "eu",
        "t": "a b/c",
        "f": " https://files.x.example/f?sig=a%2Fb&x=%2B#top",
    }
    assert target(context, **request_) == url


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "/v3",
            "eu",
            "ftp://x.example",
            "https://",
            "https:///a",
            "javascript:alert(1)",
            "//x.example/a",
        ),
        *(
            "https://u@x.example",
            "https://u:p@x.example",
            "https://x.example\\@evil.test",
            "https://x .example",
        ),
        *(
            "https://x.example/a b",
            "https://x.example/\n",
            "https://%65vil.test",
            "https://[::1",
            "https://x:99999",
        ),
        *(3, True, ["https://x.example"], {"a": 1}, None),
    ],
)
@pytest.mark.parametrize("key", ["url", "base_url"])
def test_what_is_no_clear_url_fails_the_task(key: str, value: object) -> None:
    path = {"path": "/a"} if key == "base_url" else {}
    with pytest.raises(TemplateFailed):
        target({"u": value}, **{key: "{{ u }}"}, **path)


@pytest.mark.parametrize(
    "base",
    [
        "https://x.example?a=1",
        "https://x.example#a",
        "https://x.example/a/../b",
        "https://x.example/%2e%2E",
        "https://x.example//a",
    ],
)
def test_what_is_no_base_url_fails_the_task(base: str) -> None:
    with pytest.raises(TemplateFailed):
        target({"u": base}, base_url="{{ u }}", path="/a")


@pytest.mark.parametrize(
    "value", ["evil.test/", "evil.test?", "a@evil.test", "evil.test#", "x:1@", "", "a b", "%2f"]
)
def test_a_value_inside_the_host_stays_inside(value: str) -> None:
    with pytest.raises(TemplateFailed):
        target({"r": value}, base_url="https://{{ r }}.x.example", path="/a")


@given(value=st.text(st.sampled_from(string.printable + "\uff0f\uff20\u3002"), max_size=10))
def test_no_value_moves_the_host_out_of_that_of_the_template(value: str) -> None:
    for base in ("https://{{ v }}.x.example/v1", "https://x.example/v1/{{ v }}"):
        try:
            url = target({"v": value}, base_url=base, path="/a")
        except TemplateFailed:
            continue
        assert f".{Origin.parse(url).host}".endswith(".x.example")
        assert urlsplit(url).path.startswith("/v1")
        assert "evil" not in (urlsplit(url).query + urlsplit(url).fragment)


def pull(text: str, session: OAuthSession, folder: Path, **context: Any) -> Any:
    run = EndpointRun(
        name="items",
        endpoint=msgspec.convert(
            {"destination": {"type": "file", "path": "/unused"}, **yaml.safe_load(text)}, Endpoint
        ),
        run_id="run",
        template_context={"endpoint": "items", "params": {}, **context},
        interval=Interval(utc(2024, 1, 1), utc(2024, 1, 2)),
        access=StoreAccess(lambda path, _conn_id: Path(path)),
        location=str(folder),
    )
    return run_endpoint(run, session)


PAGED = """
request: {base_url: "{{ params.site }}/api", path: /rows, params: {q: a}}
records: rows
paginate: {type: page, size: 1, size_param: size}
concurrency: 1  # without guesses, which may ask for a page past the end
"""


def page_route(asked: Asked) -> Any:
    page = int(asked.query["page"])
    return {"rows": [{"id": page}] if page < 4 else []}


@pytest.fixture
def sites() -> Iterator[tuple[ScriptedApi, ScriptedApi]]:
    with scripted(page_route) as home, scripted(page_route) as other:
        yield home, other


def test_pages_of_an_allowed_origin_get_the_token_and_other_origins_get_none(
    sites: tuple[ScriptedApi, ScriptedApi], tmp_path: Path
) -> None:
    home, other = sites
    with OAuthSession(home.url, bearer_auth("t"), allowed_origins=[other.url]) as session:
        assert pull(PAGED, session, tmp_path, params={"site": other.url}).rows == 3
    assert home.asked == []
    assert [asked.path for asked in other.asked] == ["/api/rows"] * 4
    assert [asked.query["q"] for asked in other.asked] == ["a"] * 4
    assert set(other.tokens()) == {"Bearer t"}


def test_an_origin_that_the_connection_does_not_list_is_refused_before_a_request(
    sites: tuple[ScriptedApi, ScriptedApi], tmp_path: Path
) -> None:
    home, other = sites
    with OAuthSession(home.url, bearer_auth("t")) as session:
        with pytest.raises(ForeignOriginRefused) as caught:
            pull(PAGED, session, tmp_path, params={"site": other.url})
        with pytest.raises(ForeignOriginRefused):
            pull(
                'request: {url: "{{ params.u }}"}',
                session,
                tmp_path,
                params={"u": f"{other.url}/x?token=hush"},
            )
    assert "list it in the connection's allowed_origins" in str(caught.value)
    assert (home.asked, other.asked) == ([], [])


def test_a_url_of_a_record_is_asked_with_its_query_and_more(
    sites: tuple[ScriptedApi, ScriptedApi], tmp_path: Path
) -> None:
    home, _ = sites
    text = """
    request: {url: "{{ params.u }}", params: {page: 1}}
    records: rows
    """
    with OAuthSession(f"{home.url}/v1", bearer_auth("t")) as session:
        pull(text, session, tmp_path, params={"u": f"{home.url}/f/1?sig=a%2Fb%2B"})
    assert home.paths == ["/f/1?sig=a%2Fb%2B&page=1"]


def test_an_async_session_asks_the_same_url(sites: tuple[ScriptedApi, ScriptedApi]) -> None:
    home, other = sites
    endpoint = Endpoint(request=Request(base_url="{{ u }}", path="/rows", params={"page": 1}))
    request = render_request(endpoint, {"u": other.url})

    async def talk(*allowed: str) -> int:
        auth = bearer_auth("t")
        async with AsyncOAuthSession(home.url, auth, allowed_origins=allowed) as session:
            return (await session.fetch(request)).response.status_code

    assert asyncio.run(talk(other.url)) == 200
    assert other.paths == ["/rows?page=1"]
    with pytest.raises(ForeignOriginRefused):
        asyncio.run(talk())
