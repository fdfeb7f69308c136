"""Totals: what was read is compared with what the API announced last, in every style."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from oauth_taskflow.api.options import (
    OffsetPaginator,
    PageNumberPaginator,
    Records,
    ResponseRule,
    TotalRows,
)
from oauth_taskflow.api.paginators.cap import RowCap
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import ApiError, InvalidRecord, PagesCutShort, PaginationLimit
from tests.api.conftest import Connect
from tests.api.pull.offline import Offline, first_page
from tests.api.pull.styles import COUNTED, PAGED, ROWS, STYLES, Api
from tests.api.pull.test_page_judge import read
from tests.api.scripted import Reply

ALL = [row["id"] for row in ROWS]
HEADER = TotalRows(header="X-Total")


@pytest.mark.parametrize("total", ["total", TotalRows(path="total"), HEADER])
@pytest.mark.parametrize("style", STYLES)
def test_an_end_below_the_total_fails_and_may_be_retried(
    local: Connect, style: str, total: Any
) -> None:
    whole = 2 if style == "none" else 6
    assert read(local(Api(style, total=whole)), style, total=total) == ALL[:whole]
    with pytest.raises(PagesCutShort) as caught:
        read(local(Api(style, total=3000)), style, total=total)
    assert caught.value.retryable
    place = "header: X-Total" if total is HEADER else "path: total"
    assert f"after {whole} records, but the API announced 3,000 at GET http" in str(caught.value)
    assert f"write total: {{{place}, approximate: true}}" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ('"@odata.count"', "'\"@odata.count\"'"),
        ("pages[0].total", "'pages[0].total'"),
        ("meta.total", "meta.total"),
        ('"it\'s"', "'\"it''s\"'"),
    ],
)
def test_hints_write_paths_as_yaml_reads_them(path: str, written: str) -> None:
    hint = TotalRows(path=path).as_approximate
    assert hint == f"total: {{path: {written}, approximate: true}}"
    assert yaml.safe_load(hint) == {"total": {"path": path, "approximate": True}}


@pytest.mark.parametrize("style", PAGED)
def test_an_approximate_total_is_a_warning_and_no_end(local: Connect, style: str) -> None:
    estimate, warned = TotalRows(path="total", approximate=True), list[str]()
    for announced in (1, 3000):
        session = local(Api(style, total=announced))
        assert read(session, style, total=estimate, warn=warned.append) == ALL
    (warning,) = warned
    assert "after 6 records, but the API announced 3,000 (total is approximate) at GET" in warning


@pytest.mark.parametrize("total", ["total", HEADER])
def test_a_total_of_thousands_of_digits_is_unreadable(local: Connect, total: Any) -> None:
    with pytest.raises(InvalidRecord, match="not a number"):
        read(local(Api("page", total="9" * 5_000)), "page", total=total)


@pytest.mark.parametrize("text", ["6", 6.0, " 6 ", None, -1, "-1"])
def test_totals_are_numbers_or_text_and_may_be_unknown(local: Connect, text: Any) -> None:
    assert read(local(Api("cursor", total=text)), "cursor", total="total") == ALL


@pytest.mark.parametrize(
    ("header", "known"),
    [("6", 6), ("items 0-1/6", 6), ("items */*", None), ("*", None), ("-1", None), ("many", "?")],
)
def test_a_header_may_hold_the_number_after_a_slash(
    local: Connect, header: str, known: Any
) -> None:
    def route(_: Any) -> Reply:
        return Reply({"items": ROWS[:2]}, headers={"X-Total": header})

    error = {6: PagesCutShort, "?": InvalidRecord}.get(known)
    if error is None:
        assert read(local(route), "none", total=HEADER) == [1, 2]
    else:
        with pytest.raises(error):
            read(local(route), "none", total=HEADER)


@pytest.mark.parametrize(("totals", "fails"), [([9, 8, 6], False), ([2, 4, 7], True)])
def test_the_last_total_counts_when_it_changes(
    local: Connect, totals: list[int], fails: bool
) -> None:
    api = Api("cursor")
    pages = [api.page(index, ROWS[index * 2 : index * 2 + 2]) for index in range(3)]
    for page, total in zip(pages, totals, strict=True):
        page.headers["X-Total"] = str(total)  # type: ignore[index]  # of a dict made above
    api.instead = dict(enumerate(pages))
    if fails:
        with pytest.raises(PagesCutShort, match="announced 7"):
            read(local(api), "cursor", total=HEADER)
    else:
        assert read(local(api), "cursor", total=HEADER) == ALL


@pytest.mark.parametrize(
    ("style", "warns"),
    [
        ("page", True),
        ("page ahead", True),
        ("offset", True),
        ("keyset", False),
        ("last record", False),
        ("cursor", True),
        ("link", True),
    ],
)
def test_a_total_that_falls_is_a_warning_where_rows_shift(
    local: Connect, style: str, warns: bool
) -> None:
    api, warned = Api(style), list[str]()
    pages = [api.page(index, ROWS[index * 2 : index * 2 + 2]) for index in range(3)]
    for page, total in zip(pages, (8, 7, 6), strict=True):
        page.headers["X-Total"] = str(total)  # type: ignore[index]  # of a dict made above
    api.instead = dict(enumerate(pages))
    assert read(local(api), style, total=HEADER, warn=warned.append) == ALL
    assert [text.split(" while")[0] for text in warned] == ["The total fell from 8 to 7"] * warns
    if style in {"cursor", "link"}:
        assert (
            "deleted, and if the pointer to the next page counts rows, as many others" in warned[0]
        )
    estimate = TotalRows(header="X-Total", approximate=True)
    assert read(local(api), style, total=estimate, warn=warned.append) == ALL
    assert len(warned) == warns


@pytest.mark.parametrize("relation", ["eq", "gte"])
def test_a_total_that_is_a_lower_bound_is_no_end(local: Connect, relation: str) -> None:
    """Elasticsearch stops to count at 10,000; fewer rows than that are still a loss."""

    def route(asked: Any) -> Any:
        start = int(asked.query["offset"])
        total = {"value": 4, "relation": relation}
        return {"items": rows[start : start + 2], "hits": {"total": total}}

    rows = list(ROWS)
    options: dict[str, Any] = {"paginate": OffsetPaginator(size=2, total="hits.total.value")}
    options |= {"records": Records(path="items"), "decode": True}
    pages = pull(local(route), ApiRequest("/"), **options)
    found = [row["id"] for page in pages for row in page.records]
    assert found == (ALL if relation == "gte" else ALL[:4])
    rows.clear()
    with pytest.raises(PagesCutShort, match="after 0 records, but the API announced 4"):
        list(pull(local(route), ApiRequest("/"), **options))


@pytest.mark.parametrize(
    ("rows", "paginate", "warns"),
    [
        (10_000, OffsetPaginator(size=5000), True),
        (10_000, OffsetPaginator(size=5000, total="total"), True),
        (9_999, OffsetPaginator(size=5000), False),
        (
            10_000,
            OffsetPaginator(size=5000, cap=RowCap(rows=20_000, then="narrow")),
            False,
        ),
    ],
)
def test_an_end_at_the_usual_cap_of_searches_is_a_warning(
    rows: int, paginate: OffsetPaginator, *, warns: bool
) -> None:
    def api(asked: ApiRequest) -> Any:
        start = asked.params["offset"]
        return {"items": [{"n": start}] * min(5000, rows - start), "total": rows}

    warned = list[str]()
    records = Records(path="items")
    list(pull(Offline(api), first_page, paginate=paginate, records=records, warn=warned.append))
    shown = [text for text in warned if "exactly 10,000 records" in text]
    assert [text.partition(" at ")[0] for text in shown] == [
        "Reading ends after exactly 10,000 records, where many search APIs end whatever they have"
    ] * warns


def test_a_total_only_on_the_first_page_holds_for_all(local: Connect) -> None:
    api = Api("page")
    first = api.page(0, ROWS[:2])
    api.instead = {0: Reply(first.body, headers={"X-Total": "7"})}
    with pytest.raises(PagesCutShort, match="after 6 records, but the API announced 7"):
        read(local(api), "page", total=HEADER)


def test_a_size_that_the_server_caps_loses_no_records_silently(local: Connect) -> None:
    def route(asked: Any) -> Any:
        start = int(asked.query["offset"])
        return {"items": ROWS[start : start + 1], "total": len(ROWS)}

    paginate = OffsetPaginator(size=2, advance="size", total="total")
    with pytest.raises(PagesCutShort, match="after 3 records, but the API announced 6"):
        list(
            pull(
                local(route),
                ApiRequest("/"),
                paginate=paginate,
                records=Records(path="items"),
            )
        )


@pytest.mark.parametrize("action", ["end", "skip"])
@pytest.mark.parametrize("style", PAGED)
def test_an_authors_rule_wins_with_a_warning(local: Connect, style: str, action: Any) -> None:
    api, warned = Api(style, {1: Reply({}, 404)}, total=6), list[str]()
    rules = [ResponseRule(status=404, action=action)]
    session = local(api)
    assert read(session, style, total="total", responses=rules, warn=warned.append) == [1, 2]
    (warning,) = warned
    assert warning.startswith(
        "A rule in responses ended reading after 2 records, but the API announced 6 at GET http"
    )
    assert read(session, style, responses=rules, warn=warned.append) == [1, 2]
    assert len(warned) == (2 if action == "skip" else 1)


@pytest.mark.parametrize("style", PAGED)
def test_a_status_past_the_end_does_not_win_over_a_total(local: Connect, style: str) -> None:
    session = local(Api(style, {1: Reply({}, 404)}, total=6))
    assert read(session, style, end_on_status=(404,)) == [1, 2]
    with pytest.raises(PagesCutShort, match="after 2 records, but the API announced 6"):
        read(session, style, end_on_status=(404,), total="total")


def test_max_pages_and_max_records_apply_whatever_the_total_says(local: Connect) -> None:
    session = local(Api("page", total=6))
    limits: list[dict[str, Any]] = [{"max_records": 4}, {"max_pages": 2}]
    for limit in limits:
        with pytest.raises(PaginationLimit, match="max_"):
            read(session, "page", total="total", **limit)


def test_a_single_page_whose_flag_says_more_is_an_error(local: Connect) -> None:
    session = local(Api("none", flags=True))
    with pytest.raises(PagesCutShort, match=r"paginate\.type is none .* Say how"):
        read(session, "none", more="more")
    assert read(local(Api("none", flags=True, pages=1)), "none", more="more") == [1, 2]


def test_prefetched_pages_are_compared_too(local: Connect) -> None:
    api = Api("page ahead", total=8)
    with pytest.raises(PagesCutShort, match="after 6 records, but the API announced 8"):
        read(local(api), "page ahead", total="total")
    assert PageNumberPaginator(total="total").announced_total == TotalRows(path="total")


def test_a_custom_class_does_not_end_while_a_flag_says_more(local: Connect) -> None:
    early = Api("custom", {1: {"items": [], "more": True}}, flags=True)
    assert read(local(early), "custom") == [1, 2]
    with pytest.raises(PagesCutShort, match="the last page said that more pages follow"):
        read(local(early), "custom", more="more")


@pytest.mark.parametrize("style", COUNTED)
@pytest.mark.parametrize("wrong", [0, 1, "0"])
def test_a_total_below_the_rows_already_read_is_ignored(
    local: Connect, style: str, wrong: Any
) -> None:
    """It would end reading at page one: the number counts something else."""
    assert read(local(Api(style, total=wrong)), style, total="total") == ALL


@pytest.mark.parametrize("style", PAGED)
def test_an_empty_page_does_not_lower_the_announced_total(local: Connect, style: str) -> None:
    empty = {"items": [], "total": 0}
    with pytest.raises(PagesCutShort, match="after 2 records, but the API announced 6"):
        read(local(Api(style, {1: empty}, total=6)), style, total="total")
    assert read(local(Api(style, {0: empty})), style, total="total") == []


@pytest.mark.parametrize("style", ["page", "page ahead", "offset", "offset ahead"])
@pytest.mark.parametrize("status", [400, 404])
def test_an_error_status_after_page_one_suggests_end_on_status(
    local: Connect, style: str, status: int
) -> None:
    api = Api(style, {index: Reply({}, status) for index in range(3, 9)})
    with pytest.raises(ApiError, match=rf"write end_on_status: \[{status}\] in paginate"):
        read(local(api), style)
    assert read(local(api), style, end_on_status=(status,)) == ALL
    with pytest.raises(ApiError) as caught:
        read(local(Api(style, {0: Reply({}, status)})), style)
    assert "end_on_status" not in str(caught.value)


@pytest.mark.parametrize("style", ["next url", "next url header"])
def test_a_relative_next_url_that_is_not_found_suggests_its_other_base(
    local: Connect, style: str
) -> None:
    api = Api(style, {1: Reply({}, 404)})
    with pytest.raises(ApiError, match="write base: api_root in paginate"):
        read(local(api), style)
    with pytest.raises(ApiError) as warned:
        read(local(api), style, base="api_root")
    with pytest.raises(ApiError) as gone:
        read(local(Api(style, {1: Reply({}, 410)})), style)
    assert "api_root" not in f"{warned.value} {gone.value}"
