"""Cursors, links and next URLs, page by page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from oauth_taskflow.api.options import CursorPaginator, LinkHeaderPaginator, NextUrlPaginator
from oauth_taskflow.api.paginators.base import Paginator
from oauth_taskflow.errors import InvalidRecord
from tests.api.pull.offline import BASE, first_page, view


# RFC 3986 section 5.4.1, resolved against its own base.
@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("g;x?y", "http://a/b/c/g;x?y"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("http://other/x", "http://other/x"),
    ],
)
def test_rfc_3986_section_5_4_references_resolve_against_the_page(
    reference: str, target: str
) -> None:
    page = view(
        {"next": reference}, url="http://a/b/c/d;p?q", headers={"Link": f"<{reference}>; rel=next"}
    )
    for options in (NextUrlPaginator(next="next"), LinkHeaderPaginator()):
        following = options.next_request(first_page, page)
        assert following is not None
        assert (following.path, following.exact, following.params) == (target, True, {})


def test_api_root_urls_are_left_to_the_session() -> None:
    paginator = NextUrlPaginator(next="next", base="api_root")
    following = paginator.next_request(first_page, view({"next": "/rows?page=2"}))
    assert following is not None
    assert following.path == "/rows?page=2"


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("/x", "https://api.example.com/x?q=a"),
        ("/x?c=1", "https://api.example.com/x?c=1&q=a"),
        ("/x?q=b", "https://api.example.com/x?q=b"),
        ("/x?q=", "https://api.example.com/x?q="),
    ],
)
def test_sticky_parameters_are_added_only_when_missing(url: str, sent: str) -> None:
    paginator = NextUrlPaginator(next="next", sticky=("q", "absent"))
    following = paginator.next_request(first_page, view({"next": url}))
    assert following is not None
    assert following.path == sent


@pytest.mark.parametrize("end", [None, "", False, {"href": None}, {}])
def test_no_next_url_in_any_spelling_is_the_end(end: Any) -> None:
    assert NextUrlPaginator(next="next").next_request(first_page, view({"next": end})) is None


def test_a_next_url_may_be_a_link_object() -> None:
    following = NextUrlPaginator(next="next").next_request(
        first_page, view({"next": {"href": "?p=2"}})
    )
    assert following is not None
    assert following.path == f"{BASE}?p=2"


def test_a_next_url_that_is_a_number_is_an_error() -> None:
    with pytest.raises(InvalidRecord, match="The next URL at 'next' is 7, not text"):
        NextUrlPaginator(next="next").next_request(first_page, view({"next": 7}))


def test_a_link_without_the_required_attribute_is_the_end() -> None:
    paginator = LinkHeaderPaginator(require={"results": "true"})
    link = '<?c=1>; rel="next"; results="{}"'
    assert (
        paginator.next_request(first_page, view({}, headers={"Link": link.format("false")})) is None
    )
    assert (
        paginator.next_request(first_page, view({}, headers={"Link": link.format("true")}))
        is not None
    )


def test_links_of_other_relations_are_passed_over() -> None:
    header = {"Link": '<?p=1>; rel="prev", <?p=9>; rel="last"'}
    assert LinkHeaderPaginator().next_request(first_page, view({}, headers=header)) is None


def cursor_after(options: CursorPaginator, body: Any, records: Any = ({"id": 1},)) -> Any:
    following = options.next_request(first_page, view(body, records=records))
    return None if following is None else following.params.get("after", following.json)


@pytest.mark.parametrize(
    "body", [{}, {"next": None}, {"next": ""}, {"next": []}, {"next": {}}, {"other": 1}]
)
def test_absent_null_and_empty_cursors_are_the_end(body: Any) -> None:
    assert cursor_after(CursorPaginator(next="next", param="after"), body) is None


@pytest.mark.parametrize("cursor", [0, "0", False, "a b"])
def test_falsy_cursors_go_on_unless_declared_as_the_end(cursor: Any) -> None:
    assert cursor_after(CursorPaginator(next="next", param="after"), {"next": cursor}) == cursor
    declared = CursorPaginator(next="next", param="after", end_values=(cursor,))
    assert cursor_after(declared, {"next": cursor}) is None


def test_end_values_are_compared_with_their_type() -> None:
    declared = CursorPaginator(next="next", param="after", end_values=(0,))
    assert cursor_after(declared, {"next": False}) is False
    assert cursor_after(declared, {"next": "0"}) == "0"


def test_compound_cursors_travel_as_json() -> None:
    assert (
        cursor_after(CursorPaginator(next="next", param="after"), {"next": [1, "a"]}) == '[1,"a"]'
    )
    in_body = CursorPaginator(next="next", body="search_after")
    assert cursor_after(in_body, {"next": [1, "a"]}) == {"search_after": [1, "a"]}


def test_the_last_record_is_read_undecoded_too() -> None:
    options = CursorPaginator(last_record="key.id", param="after")
    assert cursor_after(options, {}, [msgspec.Raw(b'{"key":{"id":12345678901234567890123}}')]) == (
        12345678901234567890123
    )


def test_a_last_record_without_its_cursor_is_an_error_not_the_end() -> None:
    with pytest.raises(InvalidRecord) as caught:
        cursor_after(CursorPaginator(last_record="uuid", param="after"), {})
    assert str(caught.value) == (
        f"The last record of page 1 has no cursor at 'uuid' at GET {BASE}. "
        "Correct paginate.last_record, or write absent: end there if this is the end."
    )


def test_an_empty_page_ends_a_cursor_only_when_declared() -> None:
    options = CursorPaginator(next="next", param="after", empty_page="end")
    assert cursor_after(options, {"next": "a"}, []) is None
    assert cursor_after(CursorPaginator(next="next", param="after"), {"next": "a"}, []) == "a"


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (CursorPaginator(next="after", param="after", more="more"), "after"),
        (CursorPaginator(header="X-Next", param="after", more="more"), "X-Next"),
        (NextUrlPaginator(next="next", more="more"), "next"),
        (LinkHeaderPaginator(more="more"), "the Link header with rel=next"),
    ],
)
def test_an_end_that_the_flag_denies_is_an_error(options: Paginator, place: str) -> None:
    page = replace(view({"more": True, "data": [1]}), continues=True)
    with pytest.raises(InvalidRecord) as caught:
        options.next_request(first_page, page)
    assert str(caught.value).startswith(
        f"Page 1 says that more pages follow, but has nothing at {place!r} to ask for them with at "
    )
    assert options.next_request(first_page, replace(page, continues=None)) is None


def test_an_end_value_ends_although_the_flag_says_more() -> None:
    options = CursorPaginator(next="after", param="after", more="more", end_values=("0",))
    page = replace(view({"after": "0"}), continues=True)
    assert options.next_request(first_page, page) is None


def test_a_link_header_that_breaks_off_before_the_next_link_is_not_the_end() -> None:
    header = {"Link": '<?p=1>; rel="prev", <?p=3>; rel="nex'}
    with pytest.raises(InvalidRecord, match="cannot be read to its end") as caught:
        LinkHeaderPaginator().next_request(first_page, view({}, headers=header))
    assert caught.value.retryable


def test_a_link_header_that_breaks_off_behind_the_next_link_is_enough() -> None:
    header = {"Link": '<?p=3>; rel="next", <?p=9>; rel="las'}
    following = LinkHeaderPaginator().next_request(first_page, view({}, headers=header))
    assert following is not None
    assert following.path == f"{BASE}?p=3"


def test_the_next_url_has_one_place() -> None:
    flaws = NextUrlPaginator(next="next", header="X-Next").flaws({"next", "header"})
    assert [(flaw.kind, flaw.option) for flaw in flaws] == [("contradiction", "header")]


@pytest.mark.parametrize("base", ["url", "api_root"])
def test_a_next_url_that_no_parser_reads_is_an_error_that_names_it(base: Any) -> None:
    broken = "https://[::1/rows"
    page = view({"next": broken}, headers={"Link": f"<{broken}>; rel=next"})
    options = (
        NextUrlPaginator(next="next", base=base, sticky=("q",)),
        LinkHeaderPaginator(sticky=("q",)),
    )
    for style in options:
        with pytest.raises(InvalidRecord) as caught:
            style.next_request(first_page, page)
        assert str(caught.value) == (
            f"The next URL of page 1 cannot be read: '{broken}' at GET {BASE}. The API seems to answer with a broken URL; run the task "
            "again, or page by another style."
        )
        assert caught.value.retryable
