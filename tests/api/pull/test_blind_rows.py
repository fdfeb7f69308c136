"""Paths of ``records`` that take a key of each row, where no row has it."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import CursorPaginator, Records
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.page_warnings import PageWarnings
from oauth_taskflow.api.pull.path_roots import find_member
from tests.api.pull.offline import Offline, first_page, read_warnings

ROWS = [{"cursor": "a"}, {"cursor": "b"}]


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("data.edges[].node", "node"),
        ("data.edges[*].node.item", "node"),
        ("items[].lines[]", "lines"),
        ("items[].lines[].part", "lines"),
        ("[].row", "row"),
        ("data.*.row", "row"),
        ("sort_by(items, &at)[].row", "row"),
        ("items", None),
        ("items[]", None),
        ("items[].{id: key}", None),
        ("items[?on].row", None),
        ("items[?on].lines[]", None),
    ],
)
def test_the_key_that_a_path_takes_of_each_row(path: str, member: str | None) -> None:
    assert find_member(path) == member


@pytest.mark.parametrize(
    ("path", "pages", "rows"),
    [
        ("edges[].node", [{"edges": ROWS, "next": "x"}, {"edges": ROWS}], "4"),
        ("edges[].lines[]", [{"edges": ROWS}], "2"),
        ("edges[].node", [{"edges": ROWS, "next": "x"}, {"edges": [{"node": {"id": 1}}]}], None),
        ("edges[].node", [{"edges": []}], None),
        ("edges[].lines[]", [{"edges": [{"lines": []}]}], None),
        ("edges[?cursor == 'c'].node", [{"edges": ROWS}], None),
        ("edges[].order", [{"edges": [{"order": None}]}], None),
    ],
)
def test_rows_without_the_key_are_a_warning_if_all_of_a_run_lack_it(
    path: str, pages: list[Any], rows: str | None
) -> None:
    paginate, left = CursorPaginator(next="next", param="after"), iter(pages)
    options: dict[str, Any] = {"paginate": paginate, "records": Records(path=path)}
    found = PageWarnings(paginate, path)
    found.begin_sequence()
    for page in pull(Offline(lambda _: next(left)), first_page, **options):
        found.add_page(page)
    found.end_sequence()
    warnings = list(found.warnings())
    assert [text.partition(" rows came")[0] for text in warnings] == (
        [] if rows is None else [rows]
    )


def test_an_edge_whose_node_is_null_is_a_warning() -> None:
    edges = [{"node": {"id": 1}}, {"node": None}, {"cursor": "c"}]
    (warning,) = read_warnings(None, "edges[].node", {"edges": edges})
    assert warning.startswith("Page 1 has 1 edges whose node is null, and which are no records at ")
