"""``session.paginate`` places values of the page in any part of the request, in both kinds of session."""

from __future__ import annotations

import re
from typing import Any

import pytest

from oauth_taskflow.api.options import (
    CursorPaginator,
    KeysetPaginator,
    OffsetPaginator,
    PageNumberPaginator,
)
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import TemplateFailed
from tests.api.pull.both_sessions import read_by_both
from tests.api.scripted import Asked, Sources, scripted

ROWS = [{"id": number} for number in range(1, 8)]


def after(start: int, size: int = 3) -> list[dict[str, int]]:
    return ROWS[start : start + size]


def graphql(asked: Asked) -> Any:
    start = int(asked.json["variables"].get("after", "c0")[1:])
    info = {"hasNextPage": start + 3 < len(ROWS), "endCursor": f"c{start + 3}"}
    return {"rows": after(start), "pageInfo": info}


def test_graphql_variables_take_the_token_and_page_one_leaves_it_out() -> None:
    records, asked = read_by_both(
        graphql,
        path="/graphql",
        method="POST",
        json={
            "query": "query ($after: String) { rows(after: $after) { id } }",
            "variables": {"first": "{{ page.size }}", "after": "{{ page.token | default(omit) }}"},
        },
        records="rows",
        paginate=CursorPaginator(next="pageInfo.endCursor", more="pageInfo.hasNextPage", size=3),
    )
    assert records == ROWS
    assert [one.json["variables"] for one in asked] == [
        *({"first": 3}, {"first": 3, "after": "c3"}, {"first": 3, "after": "c6"})
    ]


def offsets(asked: Asked) -> Any:
    start, size = map(int, re.findall(r"\d+", asked.query["q"]))
    assert asked.headers["X-From"] == str(start)
    return {"rows": after(start, size)}


BY_OFFSET: dict[str, Any] = {
    "params": {"q": "select * skip {{ page.offset }} limit {{ page.size }}"},
    "headers": {"X-From": "{{ page.offset }}"},
    "records": "rows",
    "paginate": OffsetPaginator(size=3),
}


def test_a_query_text_and_a_header_take_the_offset() -> None:
    records, asked = read_by_both(offsets, **BY_OFFSET)
    assert records == ROWS
    assert [one.query["q"] for one in asked][1:] == [
        *("select * skip 3 limit 3", "select * skip 6 limit 3")
    ]


@pytest.mark.parametrize("concurrency", [4, "auto"])
def test_pages_that_are_asked_for_at_once_are_rendered_too(concurrency: Any) -> None:
    with scripted(offsets) as api, OAuthSession(api.url, Sources()) as session:
        assert list(session.paginate("/rows", concurrency=concurrency, **BY_OFFSET)) == ROWS


def test_a_path_takes_the_number() -> None:
    records, asked = read_by_both(
        lambda asked: {"rows": after(3 * int(asked.path.rpartition("/")[2]) - 3)},
        path="/rows/{{ page.number }}",
        records="rows",
        paginate=PageNumberPaginator(size=3),
    )
    assert records == ROWS
    assert [one.path for one in asked] == ["/rows/1", "/rows/2", "/rows/3"]


def test_a_keyset_and_a_list_of_params_leave_out_what_has_no_value() -> None:
    def route(asked: Asked) -> Any:
        found = re.search(r"filter=id%3E(\d+)", asked.target)
        return {"rows": after(int(found[1]) if found else 0)}

    records, asked = read_by_both(
        route,
        params={"filter": ["{{ 'id>' ~ page.token if page.token is defined else omit }}", "open"]},
        records="rows",
        paginate=KeysetPaginator(key="id", size=3, size_param=None),
    )
    assert records == ROWS
    assert [one.target for one in asked][:2] == [
        *("/rows?filter=open", "/rows?filter=id%3E3&filter=open")
    ]


def test_texts_that_name_no_value_of_the_page_are_sent_as_they_are() -> None:
    mail = {"text": "Dear {{ name }}, {% if %}", "page": "{{ page.title }} {{ page }}"}
    records, asked = read_by_both(
        lambda asked: {"rows": [{"id": 1}] if asked.query.get("n") == "1" else []},
        method="POST",
        params={"n": "{{ page.number }}"},
        json=mail,
        headers={"X-Template": "{{ other }}"},
        records="rows",
        paginate=PageNumberPaginator(),
    )
    assert records == [{"id": 1}]
    assert {one.headers["X-Template"] for one in asked} == {"{{ other }}"}
    assert all(one.json == mail for one in asked)


def test_without_a_paginator_nothing_is_a_template() -> None:
    records, asked = read_by_both(
        lambda _asked: [{"id": 1}], params={"q": "{{ page.token }}"}, paginate=None
    )
    assert records == [{"id": 1}]
    assert asked[0].query == {"q": "{{ page.token }}"}


def test_a_value_that_the_paginator_does_not_have_is_refused_before_any_request() -> None:
    with (
        OAuthSession("http://127.0.0.1:9", Sources()) as session,
        pytest.raises(TemplateFailed) as caught,
    ):
        session.paginate(
            "/rows",
            params={"n": "{{ page.number }}"},
            paginate=CursorPaginator(next="next", param="c"),
        )
    assert "pages of type cursor have no page.number" in str(caught.value)
    assert "They have token." in str(caught.value)


def test_a_value_that_page_one_does_not_have_needs_omit() -> None:
    with (
        OAuthSession("http://127.0.0.1:9", Sources()) as session,
        pytest.raises(TemplateFailed) as caught,
    ):
        list(
            session.paginate(
                "/rows", params={"c": "{{ page.token }}"}, paginate=CursorPaginator(next="n")
            )
        )
    assert "On page one, leave it out: {{ page.token | default(omit) }}." in str(caught.value)


def test_a_template_of_the_path_cannot_climb_out_of_it() -> None:
    with pytest.raises(TemplateFailed, match="as a segment"):
        read_by_both(
            lambda _asked: {"rows": [{"id": 1}], "next": ".."},
            path="/rows{% if page.token is defined %}/{{ page.token }}{% endif %}",
            records="rows",
            paginate=CursorPaginator(next="next"),
        )
