"""Lists within rows of which an API sends the first items only, where ``records`` takes the items."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.pull.path_roots import find_inner_keys
from tests.api.pull.offline import read_warnings

ITEMS = [{"id": 1}, {"id": 2}]
MORE: dict[str, tuple[str, dict[str, Any], str]] = {
    "Stripe": ("data[].lines.data[]", {"lines": {"data": ITEMS, "has_more": True}}, "lines.has_more"),
    "GraphQL": (
        "data.orders.nodes[].lines.nodes[]",
        {"lines": {"nodes": ITEMS, "pageInfo": {"hasNextPage": True, "endCursor": "b"}}},
        "lines.pageInfo.hasNextPage",
    ),
    "GraphQL's edges": (
        "data.orders.nodes[].lines.edges[].node",
        {"lines": {"edges": [{"node": ITEMS[0]}], "totalCount": 2}},
        "lines.totalCount",
    ),
    "Jira": (
        "issues[*].fields.worklog.worklogs[]",
        {"fields": {"worklog": {"startAt": 0, "maxResults": 2, "total": 3, "worklogs": ITEMS}}},
        "fields.worklog.total",
    ),
    "OData": (
        "value[].members[]",
        {"members": ITEMS, "members@odata.nextLink": "groups/1/members?$skip=2"},
        "members@odata.nextLink",
    ),
    "a link": ("value[].lines.items[]", {"lines": {"items": ITEMS, "next": "/l?p=2"}}, "lines.next"),
}  # fmt: skip
WHOLE: dict[str, tuple[str, dict[str, Any]]] = {
    "Stripe": ("data[].lines.data[]", {"lines": {"data": ITEMS, "has_more": False, "total_count": 2}}),
    "GraphQL": (
        "data.nodes[].lines.nodes[]",
        {"lines": {"nodes": ITEMS, "pageInfo": {"hasNextPage": False, "endCursor": "b"}}},
    ),
    "an order": ("value[].lines[]", {"lines": ITEMS, "has_more": True, "total": 9, "next": "/a?b"}),
    "money": ("value[].cart.lines[]", {"cart": {"lines": ITEMS, "total": 900, "currency": "EUR"}}),
    "no list": ("value[].lines.data[]", {"lines": None}),
    "another list": ("value[].lines.data[]", {"lines": {"data": ITEMS}, "tags": {"has_more": True}}),
    "rows left out": ("value[?on].lines.data[]", {"lines": {"data": ITEMS, "has_more": True}}),
    "the rows": ("value[].{id: id, lines: lines.data}", {"lines": {"data": ITEMS, "has_more": True}}),
}  # fmt: skip


def nest(path: str, row: dict[str, Any]) -> Any:
    """Returns a page with two of ``row`` and one without lists, at the first list of ``path``."""
    body: Any = [row, row, {"id": 3}]
    for key in reversed(path.partition("[")[0].split(".")):
        body = {key: body}
    return body


@pytest.mark.parametrize("api", MORE)
def test_rows_whose_list_goes_on_are_a_warning(api: str) -> None:
    path, row, sign = MORE[api]
    (warning,) = read_warnings(None, path, nest(path, row))
    assert warning.startswith(
        f"Page 1 has 2 rows whose inner list says that it goes on ({sign}) at GET https://"
    )


@pytest.mark.parametrize("case", WHOLE)
def test_whole_lists_and_fields_of_the_row_are_none(case: str) -> None:
    path, row = WHOLE[case]
    assert read_warnings(None, path, nest(path, row)) == []


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("data[].lines.data[]", ("lines", "data")),
        ("data[].lines.data[].{id: id}", ("lines", "data")),
        ("a.b[*].c.d[].e.f[]", ("c", "d")),
        ("items[].node", ()),
        ("items[]", ()),
        ("items", ()),
    ],
)
def test_the_keys_from_a_row_to_its_list(path: str, keys: tuple[str, ...]) -> None:
    assert find_inner_keys(path) == keys


BROKEN = {"statement_id": 0, "error": "query-timeout limit exceeded"}


@pytest.mark.parametrize(
    ("path", "row", "key"),
    [
        ("results[].series[].values[]", BROKEN, "error"),
        ("results[*].series[0].values[]", {"series": None, "errors": ["internal"]}, "errors"),
        ("responses[].hits.hits[]", {"error": {"type": "x"}, "status": 400}, "error"),
        ("value[].lines.data[]", {"lines": {"error": "forbidden"}}, "lines.error"),
    ],
)
def test_rows_with_an_error_in_place_of_their_list_are_a_warning(
    path: str, row: dict[str, Any], key: str
) -> None:
    (warning,) = read_warnings(None, path, nest(path, row))
    assert warning.startswith(
        f"Page 1 has 2 rows with an error in place of their inner list ({key}) at GET https://"
    )


@pytest.mark.parametrize(
    "row",
    [
        {"lines": []},
        {"lines": ITEMS, "error": "of the order"},
        {"lines": None, "error": None},
        {"lines": None, "error": {"code": "ok"}},
        "a text",
        None,
    ],
)
def test_rows_without_an_error_or_with_their_list_are_none(row: Any) -> None:
    found = read_warnings(None, "value[].lines[]", {"value": [row, {"lines": ITEMS}]})
    assert [text for text in found if "in place of" in text] == []
