"""Rows that change their place while pages are read: as many come as were announced, and some are missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import ApiRequestFailed, PagesCutShort
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import pull
from tests.engine.yaml_run import read_endpoint

# Row 1 is changed after page one and goes to the end: row 3 moves into page one, unread.
MOVED = [[1, 2], [4, 1]]
STABLE = [[1, 2], [3, 4]]
ERROR = (
    "The API announced 4 rows, and its pages held 3 different primary keys: rows changed their place while pages were read, so "
    "that others are missing at https://api.example.com/x?page=2. Ask for a sort order that does not change, or read by keyset "
    "or cursor. If several rows have one key by nature, correct primary_key, or write total: {path: total, approximate: true}."
)
SHARED = (
    "The API announced 4 rows, and its pages held 3 different primary keys. Several rows of a page have one key, so that it "
    "cannot be seen whether rows are missing: correct primary_key, or write total: {path: total, approximate: true}."
)
UNNAMED = (
    "The API announced 4 rows (total), and its pages held 3 different primary keys at https://api.example.com/x?page=3: rows "
    "changed their place while pages were read, so that others may be missing. Write total there, so that such a run fails and "
    "is repeated, or read by keyset."
)
MISSED = (
    "No answer had a total at 'totl', so that nothing was compared with it. Correct total in paginate, or remove it if the API "
    "sends none; records may be missing from this output."
)
PAGES = "type: page, size: 2, total: total"


@dataclass
class Listing:
    """Numbered pages of ids, one list of them for each place: a parent or window. ``totals`` go page by page.

    The requests with the numbers ``refused``, from 1, are answered with 403.
    """

    places: dict[str, list[list[Any]]]
    totals: Sequence[int] = (4,)
    refused: set[int] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Any:
        self.asked.append(asked.target)
        if len(self.asked) in self.refused:
            return Reply(status=403)
        query = asked.query
        number = int(query.get("page", 0)) or int(query.get("offset", 0)) // 2 + 1
        pages = self.places[query.get("of", "")]
        found = pages[number - 1] if number <= len(pages) else []
        rows = [row if isinstance(row, dict) else {"id": row, "at": at(row)} for row in found]
        more = {"next": str(number + 1)} if number < len(pages) else {}
        return {"data": rows, "total": self.totals[min(number, len(self.totals)) - 1], **more}


def at(number: int) -> str:
    return f"2026-01-01T00:00:{number:02}Z"


def read(
    folder: Path, api: Listing, options: str, parents: Sequence[str] = (), **more: Any
) -> tuple[EndpointSummary, list[Any]]:
    """Returns the figures and ids of one attempt, which asks for each of ``parents``, and without them once."""
    spec = "{request: {path: /x}, records: data, primary_key: id, concurrency: 1, %s}"
    endpoint = read_endpoint(spec % options)
    given: dict[str, Any] = {"item": {}, "location": str(folder / "out"), **more}
    folder.mkdir(exist_ok=True)
    if parents:
        request = replace(endpoint.request, params={"of": "{{ parent.name }}"})
        endpoint = replace(endpoint, request=request)
        given.pop("item")
    summary = pull(folder, api, endpoint, list(parents), **given)
    text = "".join(Path(file.path).read_text() for file in summary.files)
    return summary, [json.loads(line)["id"] for line in text.splitlines()]


def read_once(folder: Path, pages: list[list[Any]], options: str, *totals: int) -> list[str]:
    """Returns the warnings of a run that must end green."""
    return read(folder, Listing({"": pages}, totals or (4,)), options)[0].warnings


@pytest.mark.parametrize(
    "paginate",
    [
        PAGES,
        "type: page, size: 2, total: total, prefetch: 2",
        "type: offset, size: 2, total: total",
        "type: cursor, next: next, param: page, total: total",
    ],
)
def test_rows_that_move_between_pages_fail_and_may_be_retried(
    tmp_path: Path, paginate: str
) -> None:
    with pytest.raises(PagesCutShort, match="held 3 different primary keys") as caught:
        read_once(tmp_path, MOVED, f"paginate: {{{paginate}}}")
    assert caught.value.retryable
    assert str(caught.value) == ERROR or paginate != PAGES


def test_the_next_attempt_reads_the_sequence_again_from_page_one(tmp_path: Path) -> None:
    """Nothing of the failed one is left: neither its rows and keys nor its watermark and warnings."""
    api = Listing({"": [[9, 2], [4, 9]]}, totals=(5, 4))
    options = f"incremental: {{field: at}}, contract: evolve, paginate: {{{PAGES}}}"
    with pytest.raises(PagesCutShort):
        read(tmp_path, api, options)
    api.places, api.totals = {"": STABLE}, (4,)
    summary, ids = read(tmp_path, api, options)
    assert (ids, summary.duplicates, summary.warnings) == ([1, 2, 3, 4], 0, [])
    assert (summary.watermark, summary.pages) == (at(4), 2)
    assert [target.rpartition("=")[2] for target in api.asked] == ["1", "2"] * 2


def test_only_the_parent_whose_rows_moved_is_read_again(tmp_path: Path) -> None:
    api = Listing({"a": STABLE, "b": [[5, 6], [8, 5]], "c": [[11, 12], [13, 14]]})
    options = f"paginate: {{{PAGES}}}, checks: {{unique: [id]}}"
    with pytest.raises(PagesCutShort):
        read(tmp_path, api, options, ["a", "b", "c"])
    assert not any("of=c" in target for target in api.asked)
    api.places["b"] = [[5, 6], [7, 8]]
    summary, ids = read(tmp_path, api, options, ["a", "b", "c"])
    assert ids == [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14]
    assert (summary.duplicates, summary.pages, summary.resumed) == (0, 6, 1)
    assert sum("of=a" in target for target in api.asked) == 2


@pytest.mark.parametrize("refused", [1, 2])
def test_rows_that_move_between_two_attempts_fail_too(tmp_path: Path, refused: int) -> None:
    """Page one is not asked for again, so what it would hold by now does not matter."""
    api = Listing({"": MOVED}, refused={refused})
    options = f"paginate: {{{PAGES}}}"
    with pytest.raises(ApiRequestFailed):
        read(tmp_path, api, options)
    with pytest.raises(PagesCutShort, match="held 3 different primary keys"):
        read(tmp_path, api, options)
    api.places[""] = STABLE
    assert read(tmp_path, api, options)[1] == [1, 2, 3, 4]


def test_an_attempt_that_was_cut_off_behind_the_last_page_is_judged(tmp_path: Path) -> None:
    """By an error of the next parent, or of a worker that was lost before the sequence had its end."""
    api, kept = Listing({"": MOVED}), list[Any]()
    options = f"paginate: {{{PAGES}}}"

    class Lost(BaseException):
        """Ends the process."""

    def lose(page: Any) -> None:
        kept.append(page)
        if len(kept) == 2:
            raise Lost

    with pytest.raises(Lost):
        read(tmp_path, api, options, on_page=lose)
    with pytest.raises(PagesCutShort, match="held 3 different primary keys"):
        read(tmp_path, api, options)
    assert len(api.asked) == 2


@pytest.mark.parametrize(
    "options",
    [
        "where: on",
        "where: on, fields: {drop: [at]}",
        "contract: {columns: discard_row, schema: {fields: {id: integer, on: boolean, extra?: text}}}",
        "incremental: {field: at, start: 2026-01-01, until: 2026-01-02, keep: window}",
    ],
    ids=["where", "where and fields", "quarantine", "window"],
)
def test_a_moved_row_that_is_left_out_counts_too(tmp_path: Path, options: str) -> None:
    """It was kept on page one, and changed so that it is left out on page two."""
    first = [{"id": row, "on": True, "at": at(row)} for row in (1, 2, 4)]
    if "contract" in options:
        first = [{"id": row["id"], "on": True} for row in first]
    moved = {"id": 1, "on": False, "at": "2026-02-01T00:00:00Z", "odd": 1}
    with pytest.raises(PagesCutShort, match="held 3 different primary keys"):
        read_once(tmp_path, [first[:2], [first[2], moved]], f"{options}, paginate: {{{PAGES}}}")


@pytest.mark.parametrize("moves", [True, False])
def test_a_moved_row_that_is_left_out_counts_after_a_cut_too(tmp_path: Path, moves: bool) -> None:
    """The next attempt knows the keys of the rows that the first one kept."""
    last = {"id": 1 if moves else 3, "on": False}
    pages = [[{"id": 1, "on": True}, {"id": 2, "on": True}], [{"id": 4, "on": True}, last]]
    api = Listing({"": pages}, refused={2})
    options = f"where: on, paginate: {{{PAGES}}}"
    with pytest.raises(ApiRequestFailed):
        read(tmp_path, api, options)
    if moves:
        with pytest.raises(PagesCutShort, match="held 3 different primary keys"):
            read(tmp_path, api, options)
    else:
        assert read(tmp_path, api, options)[1] == [1, 2, 4]
    assert [target.rpartition("=")[2] for target in api.asked] == ["1", "2", "2"]


def test_a_key_that_several_rows_of_a_page_have_is_a_warning(tmp_path: Path) -> None:
    warnings = read_once(tmp_path, [[1, 1], [2, 3]], f"paginate: {{{PAGES}}}")
    assert warnings == [SHARED]
    orders = [[{"id": 1, "n": 1}, {"id": 1, "n": 2}], [{"id": 2, "n": 3}, {"id": 1, "n": 4}]]
    left_out = (
        "primary_key left out 1 records that have the key of another record of their page, and other content: it does not name "
        "a record. Add a field to it."
    )
    warnings = read_once(tmp_path / "orders", orders, f"paginate: {{{PAGES}}}")
    assert warnings == [left_out, SHARED.replace("held 3", "held 2")]
    assert read_once(tmp_path / "no total", orders, "paginate: {type: page}") == [left_out]


FALL = (
    "The total fell from 5 to 4 while pages were read: rows were deleted, and with numbered pages or offsets as many others may "
    "be missing at GET https://api.example.com/x?page=2."
)


@pytest.mark.parametrize(
    ("pages", "totals", "options", "warnings"),
    [
        (STABLE, [4], PAGES, []),
        ([[1, 2], [2, 3], [4]], [4, 5, 5], PAGES, []),
        ([[1, 2], [1, 2], [3, 4]], [4, 6, 6], PAGES, []),
        (STABLE, [5, 4], PAGES, [FALL]),
        ([[1, 2], [4, 1]], [5, 3], PAGES, [FALL.replace("5 to 4", "5 to 3")]),
        ([[1, 2], [3, 2], []], [2, 2, 0], "type: page, total: total, short_page: continue", []),
        (MOVED, [4], "type: page, size: 2, total: {path: total, approximate: true}", []),
        (MOVED, [4], "type: page, size: 2", [UNNAMED]),
        (MOVED, [4], "type: page, size: 2, total: totl", [MISSED, UNNAMED]),
        (STABLE, [5, 4], "type: page, size: 2", [FALL.replace("page=2", "page=3")]),
        (STABLE, [2, 1], "type: page, size: 2, short_page: continue", []),
    ],
    ids=[
        "in place",
        "a row added in front",
        "a page added in front",
        "a row deleted",
        "two rows deleted, one moved",
        "the total of a page",
        "an estimate",
        "no named total",
        "a total that is never there",
        "a row deleted, no named total",
        "the total of a page, not named",
    ],
)
def test_pulls_that_lose_nothing_or_do_not_show_it_stay_green(
    tmp_path: Path, pages: list[list[Any]], totals: list[int], options: str, warnings: list[str]
) -> None:
    assert read_once(tmp_path, pages, f"paginate: {{{options}}}", *totals) == warnings


def test_one_row_in_several_windows_and_parents_stays_green(tmp_path: Path) -> None:
    """Each has its own total; a key that came in another one is no repeat of its own pages."""
    api = Listing({"a": STABLE, "b": STABLE, "c": [[4, 3], [2, 1]]})
    summary, ids = read(tmp_path, api, f"paginate: {{{PAGES}}}", ["a", "b", "c"])
    assert (len(ids), summary.warnings) == (4, [])
    windows = (
        "{request: {path: /x, params: {since: '{{ window.start }}'}}, records: data, primary_key: id, concurrency: 2, "
        f"incremental: {{start: 2026-01-01, step: P1D}}, paginate: {{{PAGES}}}}}"
    )
    out = str(tmp_path / "windows")
    endpoint = read_endpoint(windows)
    summary = pull(tmp_path, Listing({"": STABLE}), endpoint, [], item={}, location=out)
    assert (summary.rows, summary.duplicates, summary.warnings) == (4, 8, [])


@pytest.mark.parametrize(
    "records", ["data[].lines[]", "data[].lines[].{id: id}"], ids=["lines", "built"]
)
def test_rows_that_hold_several_records_are_not_judged(tmp_path: Path, records: str) -> None:
    """A member of several teams comes with each of them, while the total counts teams."""
    teams = [{"lines": [{"id": team}, {"id": 7}, {"id": 8}]} for team in range(4)]
    api = Listing({"": [teams[:2], teams[2:]]})
    endpoint = read_endpoint(
        f"{{request: {{path: /x}}, records: '{records}', primary_key: id, paginate: {{{PAGES}}}}}"
    )
    out = str(tmp_path / "out")
    summary = pull(tmp_path, api, endpoint, [], item={}, location=out)
    assert (summary.rows, summary.warnings) == (6, [])


def test_rows_that_the_path_of_records_leaves_out_are_rows_of_the_total(tmp_path: Path) -> None:
    def rows(*numbers: int) -> list[Any]:
        return [{"id": number, "on": number != 9} for number in numbers]

    options = "request: {path: /x}, records: 'data[?on]', primary_key: id, paginate"
    for pages, fails in (([rows(1, 9), rows(3, 4)], False), ([rows(1, 9), rows(4, 1)], True)):
        api = Listing({"": pages})
        endpoint = read_endpoint(f"{{{options}: {{{PAGES}}}}}")
        given: dict[str, Any] = {"item": {}, "location": str(tmp_path / str(fails))}
        if fails:
            with pytest.raises(PagesCutShort, match="held 3 different primary keys"):
                pull(tmp_path, api, endpoint, [], **given)
        else:
            assert pull(tmp_path, api, endpoint, [], **given).rows == 3


NARROW = """
request: {path: /x, params: {since: "{{ window.start }}", until: "{{ window.end }}"}}
records: data
primary_key: id
concurrency: 1
paginate: {%s, total: total, cap: {rows: 6, then: narrow}}
incremental: {field: at, start: 2026-01-01, until: 2026-01-02}
"""


class Search:
    """Rows of a day, one for each three hours, two a page.

    When the page that begins with the row of the number ``moves`` was read, that row goes to the end of its window, once.
    """

    def __init__(self, moves: int) -> None:
        self.moves = moves
        self.rows: list[dict[str, Any]] = [
            {"id": hour, "at": f"2026-01-01T{3 * hour:02}:00:00Z"} for hour in range(8)
        ]

    def __call__(self, asked: Asked) -> Any:
        query = asked.query
        found = [row for row in self.rows if query["since"] <= row["at"] < query["until"]]
        start = int(query.get("offset", 0))
        body = {"data": found[start : start + 2], "total": len(found)}
        if start + 2 < len(found):
            body["next"] = str(start + 2)
        if found[start]["id"] == self.moves and len(found) < 6:
            self.rows.append({**self.rows.pop(self.moves), "at": found[-1]["at"]})
            self.moves = -1
        return body


@pytest.mark.parametrize(
    "paginate", ["type: offset, size: 2", "type: cursor, next: next, param: offset"]
)
@pytest.mark.parametrize("moves", [0, 4])
def test_each_part_of_a_window_with_more_rows_than_the_cap_is_judged(
    tmp_path: Path, paginate: str, moves: int
) -> None:
    search, endpoint = Search(moves), read_endpoint(NARROW % paginate)
    given: dict[str, Any] = {"item": {}, "location": str(tmp_path / "out")}
    with pytest.raises(PagesCutShort, match="announced 4 rows, and its pages held 3 different"):
        pull(tmp_path, search, endpoint, [], **given)
    summary = pull(tmp_path, search, endpoint, [], **given)
    assert (summary.rows, summary.duplicates, summary.warnings) == (8, 0, [])
