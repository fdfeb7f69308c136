"""Every style returns every row once, in the same order, and says when it ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.dataset import Rows, select
from oauth_taskflow.testing.messages import Request, Response
from oauth_taskflow.testing.paging import STYLES, PageRequest
from tests.testing.calls import TIMEOUT, get

ORIGIN, FOREIGN = "http://here", "http://there"
ROWS = select("CH", "", "")
MANY = select("DE", "", "")


def ask(style: str, target: str, rows: Rows = ROWS) -> Response:
    return STYLES[style](PageRequest(Request("GET", target, {}), rows, ORIGIN, FOREIGN))


def body(answer: Response) -> Any:
    return msgspec.json.decode(answer.body)


def records(answer: Response) -> list[Any]:
    found: list[Any] = content if isinstance(content := body(answer), list) else content["data"]
    return found


def changed(target: str, name: str, value: object) -> str:
    """``target`` with another value of one parameter."""
    path, _, query = target.partition("?")
    return f"{path}?{urlencode(dict(parse_qsl(query)) | {name: str(value)})}"


def after_page(target: str, answer: Response) -> str | None:
    meta = body(answer)["meta"]
    return changed(target, "page", meta["page"] + 1) if meta["page"] < meta["pages"] else None


def after_offset(target: str, answer: Response) -> str | None:
    offset = int(dict(parse_qsl(target.partition("?")[2])).get("offset", "0"))
    offset += len(records(answer))
    return changed(target, "offset", offset) if offset < body(answer)["total_entries"] else None


def after_cursor(target: str, answer: Response) -> str | None:
    paging = body(answer).get("paging")
    return changed(target, "after", paging["next"]["after"]) if paging else None


def after_link(_target: str, answer: Response) -> str | None:
    links = requests.utils.parse_header_links(dict(answer.headers).get("Link", ""))
    return next((link["url"] for link in links if link.get("rel") == "next"), None)


def after_next(target: str, answer: Response) -> str | None:
    link = body(answer)["links"]["next"]
    return urljoin(ORIGIN + target, link) if link else None


FOLLOW: dict[str, Callable[[str, Response], str | None]] = {
    "page": after_page,
    "offset": after_offset,
    "cursor": after_cursor,
    "link": after_link,
    "next": after_next,
}
SIZE = {"page": "per_page", "offset": "limit", "cursor": "limit"}


def walk(style: str, target: str, rows: Rows = ROWS) -> Iterator[Any]:
    """All records from ``target`` on, the way a client of that style asks for them."""
    following: str | None = target
    while following:
        assert following.startswith(("/", ORIGIN))
        target = following.removeprefix(ORIGIN)
        answer = ask(style, target, rows)
        yield from records(answer)
        following = FOLLOW[style](target, answer)


def first(rows: Rows, count: int) -> Rows:
    return Rows(
        rows.icao[:count], rows.country[:count], rows.updated_at[:count], rows.encoded[:count]
    )


@pytest.mark.parametrize("style", FOLLOW)
@given(count=st.integers(0, len(ROWS)), size=st.integers(1, 120))
def test_any_page_size_returns_each_row_once_in_order(style: str, count: int, size: int) -> None:
    target = f"/{style}/airports?{SIZE.get(style, 'per_page')}={size}"

    codes = [row["icao"] for row in walk(style, target, first(ROWS, count))]

    assert codes == list(ROWS.icao[:count])


@pytest.mark.parametrize("form", ["relative", "absolute", "query"])
def test_next_links_resolve_in_every_form(form: str) -> None:
    codes = [row["icao"] for row in walk("next", f"/next/airports?links={form}&per_page=50")]

    assert codes == list(ROWS.icao)


@pytest.mark.parametrize(
    ("form", "link"),
    [
        ("relative", "/next/airports?links=relative&country=DE&page=2"),
        ("absolute", "http://here/next/airports?links=absolute&country=DE&page=2"),
        ("query", "?links=query&country=DE&page=2"),
        ("foreign", "http://there/next/airports?links=foreign&country=DE&page=2"),
    ],
)
def test_next_links_keep_the_other_parameters(form: str, link: str) -> None:
    answer = ask("next", f"/next/airports?links={form}&country=DE", MANY)

    assert body(answer)["links"] == {"next": link}


def test_the_link_header_names_first_prev_next_and_last() -> None:
    answer = ask("link", "/link/airports?per_page=10&page=2&links=query")

    assert re.findall(r'<\?([^>]*)>; rel="(\w+)"', dict(answer.headers)["Link"]) == [
        (f"per_page=10&page={page}&links=query", name)
        for name, page in {"first": 1, "prev": 1, "next": 3, "last": -(-len(ROWS) // 10)}.items()
    ]


@pytest.mark.parametrize("style", ["page", "offset", "cursor", "link", "next"])
def test_sizes_above_the_largest_are_clamped_in_silence(style: str) -> None:
    target = f"/{style}/airports?{SIZE.get(style, 'per_page')}=5000"

    assert len(records(ask(style, target, select("US", "", "")))) == 1000


@pytest.mark.parametrize("style", FOLLOW)
def test_a_last_page_that_is_just_full_offers_no_next(style: str) -> None:
    target = f"/{style}/airports?{SIZE.get(style, 'per_page')}=20"

    assert FOLLOW[style](target, ask(style, target, first(ROWS, 20))) is None
    assert FOLLOW[style](target, ask(style, target, first(ROWS, 21))) is not None


def test_a_page_past_the_end_is_empty() -> None:
    assert records(ask("page", "/page/airports?page=999")) == []


def test_the_loop_offers_the_same_page_in_every_style_for_ever() -> None:
    once = ask("loop", "/loop/airports?limit=2")
    again = ask("loop", body(once)["links"]["next"])

    assert again == once
    assert body(once)["paging"]["next"]["after"]
    assert after_link("", once) == "/loop/airports?limit=2"


def test_bulk_rows_are_numbered_and_weigh_about_450_bytes() -> None:
    target = "/bulk/airports?total=1050&per_page=500&page="

    pages = [ask("bulk", f"{target}{number}", select("", "", "")) for number in (1, 2, 3)]

    assert [row["id"] for page in pages for row in records(page)] == list(range(1050))
    assert body(pages[0])["meta"] == {"page": 1, "pages": 3, "total": 1050}
    assert 430 < len(pages[0].body) / 500 < 490


def test_bulk_without_a_matching_airport_is_empty() -> None:
    answer = ask("bulk", "/bulk/airports", select("??", "", ""))

    assert (records(answer), body(answer)["meta"]["total"]) == ([], 0)


def test_links_work_on_the_wire_below_a_prefix(oauth_server: OAuthTestServer) -> None:
    url: str | None = oauth_server.base_url + "/with/none/link/airports?country=CH"
    codes: list[str] = []
    while url:
        answer = requests.get(url, timeout=TIMEOUT)
        codes += [row["icao"] for row in answer.json()]
        url = answer.links.get("next", {}).get("url")

    assert codes == list(ROWS.icao)


def test_foreign_links_lead_to_another_origin_of_the_same_server(
    oauth_server: OAuthTestServer,
) -> None:
    token = oauth_server.issue_access_token()
    answer = get(oauth_server, "/next/airports?links=foreign", token).json()

    host = urlsplit(answer["links"]["next"])
    assert (host.hostname, host.port) == ("localhost", urlsplit(oauth_server.base_url).port)
