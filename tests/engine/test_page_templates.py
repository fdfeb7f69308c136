"""Templates that place the values of a page: a query text, GraphQL variables, another URL for later pages, a path."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.engine.rendered_request import render_request
from oauth_taskflow.errors import PaginationLoop, TemplateFailed
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.specs.windows import Interval
from oauth_taskflow.templates.render import OMIT, render_text, render_value
from tests.api.scripted import Asked, Reply
from tests.engine.yaml_run import Pulled, pull_yaml, utc

DAY = Interval(utc(2026, 1, 1), utc(2026, 1, 2))
ROWS = [{"id": number} for number in range(1, 8)]


def pull(text: str, route: Any, folder: Path, **options: Any) -> Pulled:
    return pull_yaml(text, DAY, route, folder, **options)


def test_quickbooks_counts_rows_inside_the_text_of_its_query(tmp_path: Path) -> None:
    def route(asked: Asked) -> Any:
        start, size = map(int, re.findall(r"\d+", asked.query["query"]))
        page = ROWS[start - 1 : start - 1 + size]
        return {"QueryResponse": {"Invoice": page} if page else {}}

    text = """
    request:
      path: /query
      params: {query: "select * from Invoice startposition {{ page.offset }} maxresults {{ page.size }}"}
    records: {path: QueryResponse.Invoice, absent: empty}
    paginate: {type: offset, start: 1, size: 3}
    """
    pulled = pull(text, route, tmp_path)
    assert pulled.ids == [1, 2, 3, 4, 5, 6, 7]
    assert [asked.query for asked in pulled.api.asked] == [
        {"query": f"select * from Invoice startposition {start} maxresults 3"}
        for start in (1, 4, 7)
    ]


def test_graphql_takes_the_cursor_among_its_variables(tmp_path: Path) -> None:
    def route(asked: Asked) -> Any:
        start = int(asked.json["variables"].get("after", "c0")[1:])
        more = start + 3 < len(ROWS)
        info = {"hasNextPage": more, "endCursor": f"c{start + 3}"}
        return {"data": {"rows": {"nodes": ROWS[start : start + 3], "pageInfo": info}}}

    text = """
    request:
      method: POST
      path: /graphql
      json:
        query: "query ($first: Int, $after: String) { rows(first: $first, after: $after) { nodes { id } } }"
        variables: {first: "{{ page.size }}", after: "{{ page.token | default(omit) }}"}
    records: data.rows.nodes
    paginate: {type: cursor, next: data.rows.pageInfo.endCursor, more: data.rows.pageInfo.hasNextPage, size: 3}
    """
    pulled = pull(text, route, tmp_path)
    assert pulled.ids == [1, 2, 3, 4, 5, 6, 7]
    assert [asked.json["variables"] for asked in pulled.api.asked] == [
        {"first": 3},
        {"first": 3, "after": "c3"},
        {"first": 3, "after": "c6"},
    ]
    assert {asked.target for asked in pulled.api.asked} == {"/graphql"}


@pytest.mark.parametrize("is_fixed", [False, True])  # both occur, by the number of shards
def test_elasticsearch_scrolls_by_another_url_and_ends_with_an_empty_page(
    tmp_path: Path, is_fixed: bool
) -> None:
    starts = iter(range(0, 100, 3))

    def route(asked: Asked) -> Any:
        start = next(starts)
        if asked.path == "/logs/_search":
            assert asked.json == {"size": 3, "sort": ["_doc"]}
        else:
            sent = {"scroll": "1m", "scroll_id": "s" if is_fixed else f"s{start}"}
            assert (asked.target, asked.json) == ("/_search/scroll", sent)
        total = {"value": 7, "relation": "eq"}
        scroll_id = "s" if is_fixed else f"s{start + 3}"
        return {"_scroll_id": scroll_id, "hits": {"total": total, "hits": ROWS[start : start + 3]}}

    text = """
    request:
      method: POST
      path: "{% if page.token is defined %}/_search/scroll{% else %}/logs/_search?scroll=1m{% endif %}"
      json:
        size: "{{ omit if page.token is defined else 3 }}"
        sort: "{{ omit if page.token is defined else ['_doc'] }}"
        scroll: "{{ '1m' if page.token is defined else omit }}"
        scroll_id: "{{ page.token | default(omit) }}"
    records: hits.hits
    paginate: {type: cursor, next: _scroll_id, empty_page: end, total: hits.total.value}
    """
    pulled = pull(text, route, tmp_path)
    assert pulled.ids == [1, 2, 3, 4, 5, 6, 7]
    assert len(pulled.api.asked) == 4


def test_a_cursor_of_several_parameters_sends_those_that_a_page_names(tmp_path: Path) -> None:
    """MediaWiki continues a list within the pages of a generator before it continues the generator."""
    following: list[dict[str, str]] = [
        {"continue": "||", "clcontinue": "2|a"},
        {"continue": "gap||", "gapcontinue": "C"},
        {"continue": "||", "gapcontinue": "C", "clcontinue": "4|b"},
    ]
    answers = iter([*({"continue": each} for each in following), {}])

    def route(asked: Asked) -> Any:
        return {"query": {"pages": [{"id": len(asked.query)}]}, **next(answers)}

    text = """
    request:
      path: /w/api.php
      params:
        generator: allpages
        continue: "{{ page.token.continue if page.token is defined else omit }}"
        gapcontinue: "{{ page.token.gapcontinue | default(omit) if page.token is defined else omit }}"
        clcontinue: "{{ page.token.clcontinue | default(omit) if page.token is defined else omit }}"
    records: query.pages
    paginate: {type: cursor, next: continue}
    """
    pulled = pull(text, route, tmp_path)
    asked = [each.query for each in pulled.api.asked]
    assert asked == [{"generator": "allpages", **sent} for sent in ({}, *following)]
    assert pulled.ids == [1, 3, 3, 4]


def test_a_sort_key_of_several_values_goes_into_the_body_as_a_list(tmp_path: Path) -> None:
    def route(asked: Asked) -> Any:
        start = asked.json.get("search_after", [0, "x"])[0]
        rows = [{**row, "sort": [row["id"], "x"]} for row in ROWS[start : start + 3]]
        return {"hits": rows}

    text = """
    request: {method: POST, path: /s, json: {search_after: "{{ page.token | default(omit) }}"}}
    records: hits
    paginate: {type: cursor, last_record: sort}
    """
    pulled = pull(text, route, tmp_path)
    assert pulled.ids == [1, 2, 3, 4, 5, 6, 7]
    assert [asked.json for asked in pulled.api.asked][:2] == [{}, {"search_after": [3, "x"]}]


@pytest.mark.parametrize("ahead", ["", ", prefetch: 3"])
def test_a_page_number_may_be_part_of_the_path(tmp_path: Path, ahead: str) -> None:
    def route(asked: Asked) -> Any:
        number = int(asked.path.removeprefix("/rows/"))
        return {"items": ROWS[number * 3 - 3 : number * 3], "pages": 3}

    text = f"""
    request: {{path: "/rows/{{{{ page.number }}}}"}}
    records: items
    paginate: {{type: page, size: 3, size_param: n, total_pages: pages{ahead}}}
    """
    pulled = pull(text, route, tmp_path)
    assert pulled.ids == [1, 2, 3, 4, 5, 6, 7]
    # The size is not placed by the template, so the paginator sends it.
    assert sorted(asked.target for asked in pulled.api.asked) == [
        f"/rows/{n}?n=3" for n in (1, 2, 3)
    ]


def test_the_first_key_is_left_out_of_headers_params_and_lists(tmp_path: Path) -> None:
    def route(asked: Asked) -> Any:
        since = int(asked.headers.get("X-Since", 0))
        known = asked.query.get("since", "0")
        assert int(known) == since
        assert asked.query.get("l") == (None if since == 0 else str(since))
        return [row for row in ROWS if row["id"] > since][:3]

    text = """
    request:
      path: /rows
      headers: {X-Since: "{{ page.token | default(omit) }}"}
      params: {since: "{{ page.token | default(omit) }}", l: ["{{ page.token | default(omit) }}"]}
    paginate: {type: keyset, key: id}
    """
    pulled = pull(text, route, tmp_path)
    assert pulled.ids == [1, 2, 3, 4, 5, 6, 7]
    assert [asked.target for asked in pulled.api.asked][:2] == ["/rows", "/rows?since=3&l=3"]


def test_the_window_and_the_parent_are_there_beside_the_page(tmp_path: Path) -> None:
    def route(asked: Asked) -> Any:
        team, since, at = asked.query["q"].split(";")
        start = int(at)
        return {
            "items": [{"id": f"{team}{n}", "t": since} for n in range(start, min(start + 2, 3))]
        }

    text = """
    for_each: {team: [a, b]}
    request: {path: /rows, params: {q: "{{ team }};{{ window.start }};{{ page.offset }}"}}
    records: items
    paginate: {type: offset}
    incremental: {field: t, step: PT12H, start: 2026-01-01}
    """
    from oauth_taskflow.engine.for_each import Slice  # noqa: PLC0415 - one test

    pulled = pull(text, route, tmp_path, item={"team": Slice(value="a")})
    assert pulled.ids == ["a0", "a1", "a2"] * 2
    assert pulled.api.asked[0].query["q"] == "a;2026-01-01T00:00:00Z;0"
    assert pulled.api.asked[-1].query["q"] == "a;2026-01-01T12:00:00Z;3"


def test_a_variable_named_page_is_the_authors_own(tmp_path: Path) -> None:
    text = """
    for_each: {page: [home]}
    request: {path: "/{{ page }}"}
    """
    from oauth_taskflow.engine.for_each import Slice  # noqa: PLC0415 - one test

    pulled = pull(
        text, lambda asked: [{"id": asked.path}], tmp_path, item={"page": Slice(value="home")}
    )
    assert pulled.ids == ["/home"]


def test_a_template_that_does_not_use_the_cursor_it_was_given_is_a_loop(tmp_path: Path) -> None:
    text = """
    request: {path: /rows, params: {after: "{{ 'x' if page.token is defined else 'x' }}"}}
    paginate: {type: cursor, next: next}
    records: items
    """
    with pytest.raises(PaginationLoop, match="Page 1 leads back to a page that was read before"):
        pull(text, lambda _: {"items": ROWS, "next": "a"}, tmp_path)


def test_a_retried_page_is_asked_with_the_same_cursor(tmp_path: Path) -> None:
    failed: list[str] = []

    def route(asked: Asked) -> Any:
        after = asked.query.get("after", "")
        if after and after not in failed:
            failed.append(after)
            return Reply({}, 503, {"Retry-After": "0"})
        start = int(after or 0)
        return {
            "items": ROWS[start : start + 4],
            "next": start + 4 if start + 4 < len(ROWS) else None,
        }

    text = """
    request: {path: /rows, params: {after: "{{ page.token | default(omit) }}"}}
    paginate: {type: cursor, next: next}
    records: items
    """
    pulled = pull(text, route, tmp_path)
    assert pulled.ids == [1, 2, 3, 4, 5, 6, 7]
    assert [asked.query.get("after") for asked in pulled.api.asked] == [None, "4", "4"]


def test_a_path_may_have_another_segment_from_page_two_on(tmp_path: Path) -> None:
    text = """
    request: {path: "/rows{% if page.token is defined %}/{{ page.token }}{% endif %}"}
    records: items
    paginate: {type: cursor, next: next}
    """
    pulled = pull(
        text,
        lambda asked: {"items": [{"id": 1}], "next": "b" if asked.path == "/rows" else None},
        tmp_path,
    )
    assert pulled.api.paths == ["/rows", "/rows/b"]


# omit --------------------------------------------------------------------------------------------


def render(**request: Any) -> Any:
    return render_request(Endpoint(request=Request(path="/x", **request)), {"empty": "", "one": 1})


def test_omit_leaves_out_keys_items_parameters_headers_fields_and_the_body() -> None:
    made = render(
        method="POST",
        params={"a": "{{ omit }}", "b": ["{{ omit }}", "{{ one }}"], "c": "{{ empty or omit }}"},
        headers={"X-A": "{{ omit }}", "X-B": "{{ one }}"},
        json={
            "a": "{{ omit }}",
            "b": {"c": "{{ omit }}"},
            "d": "{{ {'e': omit, 'f': [omit, 1]} }}",
        },
        form={"g": "{{ omit }}"},
    )
    assert made.params == {"b": [1]}
    assert made.headers == {"X-B": "1"}
    assert made.json == {"b": {}, "d": {"f": [1]}}
    assert made.form == {}
    assert render(json="{{ omit }}").json is None


@pytest.mark.parametrize(
    "request_options",
    [
        {"path": "/x/{{ omit }}"},
        {"params": {"a": "n {{ omit }}"}},
        {"headers": {"X": "a{{ omit }}"}},
        {"params": {"a": "{{ omit ~ ',x' }}"}},
        {"params": {"a": "{{ omit | string }}"}},
        {"params": {"a": "{{ [omit, 1] | join(',') }}"}},
        {"params": {"a": "{{ '%s' % omit }}"}},
        {"params": {"a": "{{ '{}'.format(omit) }}"}},
    ],
)
def test_omit_cannot_leave_out_a_part(request_options: Any) -> None:
    with pytest.raises(TemplateFailed) as caught:
        render_request(Endpoint(request=Request(**{"path": "/x", **request_options})), {})
    assert (
        "omit leaves out a whole value, and this is a path, a part of a text or a destination"
        in str(caught.value)
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ rows | map(attribute='id') }}", [1, 2]),
        ("{{ rows | selectattr('id', 'gt', 1) | map(attribute='id') }}", [2]),
        ("{{ range(3) }}", [0, 1, 2]),
        ("{{ {'a': 1}.values() }}", [1]),
        ("{{ {'a': rows | map(attribute='id')} }}", {"a": [1, 2]}),
        ("{{ (omit, [rows | map(attribute='id'), omit]) }}", [[[1, 2]]]),
    ],
)
def test_what_jinja_gives_once_is_sent_with_every_page(template: str, expected: Any) -> None:
    request = Request(path="/x", method="POST", json={"a": template}, params={"a": template})
    made = render_request(Endpoint(request=request), {"rows": [{"id": 1}, {"id": 2}]})
    assert made.json == {"a": expected}
    assert made.params == {"a": expected}


@pytest.mark.parametrize("template", ["/x/{{ [1] | map('string') }}", "/x/{{ range(2) }}"])
def test_what_is_no_text_never_stands_in_a_text(template: str) -> None:
    with pytest.raises(TemplateFailed, match="it gave a list inside a text"):
        render_request(Endpoint(request=Request(path=template)), {})


@pytest.mark.parametrize("value", [datetime(2026, 1, 1, tzinfo=timezone.utc), {1, 2}, 1e999])
def test_a_body_that_json_cannot_hold_fails_with_the_way_out(value: Any) -> None:
    body = {"a": ["{{ value }}"]}
    with pytest.raises(TemplateFailed, match=r"the body cannot be sent, .*isoformat"):
        render_request(Endpoint(request=Request(path="/x", json=body)), {"value": value})


def test_an_authors_name_hides_omit() -> None:
    endpoint = Endpoint(request=Request(path="/x", params={"a": "{{ omit }}"}))
    assert render_request(endpoint, {"omit": "mine"}).params == {"a": "mine"}


def test_omit_is_no_value_outside_of_requests() -> None:
    assert repr(OMIT) == "omit"
    assert render_value("{{ omit }}", {"omit": OMIT}) is OMIT
    with pytest.raises(TemplateFailed):
        render_text("{{ omit }}", {"omit": OMIT})


def test_a_value_that_page_one_lacks_fails_with_the_way_out(tmp_path: Path) -> None:
    text = """
    request: {path: /rows, params: {after: "{{ page.token ~ '' }}"}}
    paginate: {type: cursor, next: next}
    """
    with pytest.raises(TemplateFailed) as caught:
        pull(text, lambda _: [], tmp_path)
    assert str(caught.value) == (
        "Template \"{{ page.token ~ '' }}\" failed: page.token has no value on this page. "
        "On page one, leave it out: {{ page.token | default(omit) }}."
    )
