"""A page without records that says at its root how the request failed: it is no end, and the error quotes it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from oauth_taskflow.api.options import Records, ResponseRule
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import RecordsNotFound
from tests.api.conftest import Connect
from tests.api.pull.styles import ROWS, Api
from tests.api.pull.test_page_judge import ALLOWED, read
from tests.api.scripted import Reply

FAILURES: dict[str, dict[str, Any]] = {
    "success == `false`": {"success": False, "message": "internal"},
    "ok == `false`": {"ok": False, "description": "internal"},
    "status == 'error'": {"status": "error", "message": "internal"},
    "status == 'FAIL'": {"status": "FAIL", "reason": "internal"},
    "result == 'failed'": {"result": "failed", "why": "internal"},
    "code == `500`": {"code": 500, "msg": "internal"},
    "status == `401`": {"status": 401, "message": "internal"},
    "statusCode == `404`": {"statusCode": 404, "message": "internal"},
    "ocs.meta.status == 'failure'": {"ocs": {"meta": {"status": "failure", "message": "internal"}}},
}
GAPS: dict[str, dict[str, Any]] = {
    "incomplete_results == `true`": {"incomplete_results": True},
    "timed_out == `true`": {"timed_out": True, "_shards": {"failed": 0}},
    "_shards.failed > `0`": {"timed_out": False, "_shards": {"failed": 2}},
    "jobComplete == `false`": {"jobComplete": False},
    "resultTruncated == 'true'": {"resultTruncated": "true"},
    "partialResults == `true`": {"partialResults": True},
    "responseHeader.partialResults == `true`": {"responseHeader": {"partialResults": True}},
    "responseHeader.partialResults == 'omitted'": {"responseHeader": {"partialResults": "omitted"}},
    "unreachable": {"unreachable": ["projects/p/locations/x"]},
    "UnprocessedKeys": {"UnprocessedKeys": {"table": {"Keys": []}}},
}
WHOLE: dict[str, Any] = {
    "incomplete_results": False,
    "timed_out": None,
    "_shards": {"failed": 0},
    "jobComplete": True,
    "resultTruncated": "false",
    "partialResults": "true",
    "responseHeader": {"status": 0, "partialResults": False},
    "unreachable": [],
    "UnprocessedKeys": {},
}
SUCCESSES: list[dict[str, Any]] = [
    {"success": True, "ok": True, "status": "success", "code": 200},
    {"success": None, "ok": "false", "status": "OK", "result": "none", "code": 0},
    {"status": True, "code": "500", "statusCode": 200, "status_code": 399},
    {"code": 600, "status": "ZERO_RESULTS", "result": 0},
    {"ocs": {"meta": {"status": "ok", "statuscode": 100}}},
]


@pytest.mark.parametrize("condition", FAILURES)
@pytest.mark.parametrize("items", [{"items": []}, {"items": None}, {}])
@pytest.mark.parametrize("style", ["page", "cursor"])
def test_a_reported_failure_without_records_is_no_end(
    local: Connect, style: str, items: dict[str, Any], condition: str
) -> None:
    api = Api(style, {1: {**items, **FAILURES[condition]}})
    with pytest.raises(RecordsNotFound, match="root error") as caught:
        read(local(api), style, ALLOWED)
    assert (caught.value.retryable, api.asked[1]) == (True, 5)
    assert "internal" in str(caught.value)
    assert f'responses: [{{when: "{condition}", action: end}}]' in str(caught.value)


@pytest.mark.parametrize("condition", FAILURES)
def test_the_rule_that_the_error_names_makes_it_an_end(local: Connect, condition: str) -> None:
    api = Api("page", {1: {"items": [], **FAILURES[condition]}})
    rule = ResponseRule(when=condition, action="end")
    assert read(local(api), "page", responses=[rule], warn=lambda _: None) == [1, 2]


@pytest.mark.parametrize("condition", FAILURES)
def test_the_same_words_beside_records_describe_them(local: Connect, condition: str) -> None:
    warned = list[str]()
    session = local(lambda _: {"items": ROWS, **FAILURES[condition]})
    assert read(session, "none", warn=warned.append) == [row["id"] for row in ROWS]
    filtered = Records(path="items[?off]")
    assert read(session, "none", filtered, warn=warned.append) == []
    whole = local(lambda _: {"id": 7, **FAILURES[condition]})
    assert read(whole, "none", Records(single=True), warn=warned.append) == [7]
    assert warned == []


@pytest.mark.parametrize("fine", SUCCESSES)
def test_an_empty_page_that_reports_success_is_an_end(local: Connect, fine: dict[str, Any]) -> None:
    assert read(local(Api("page", {1: {"items": [], **fine}})), "page") == [1, 2]


def test_the_error_quotes_what_the_api_says_without_secrets(local: Connect) -> None:
    body = {"data": None, "errors": [{"message": "no such field, Bearer abcdef123456"}]}
    session = local(lambda _: Reply(body, headers={"Content-Type": "application/json"}))
    with pytest.raises(RecordsNotFound) as caught:
        read(session, "none", Records(path="data.rows"))
    assert "no such field" in str(caught.value)
    assert "abcdef123456" not in str(caught.value)


@pytest.mark.parametrize("condition", GAPS)
def test_an_answer_that_lacks_records_is_a_warning_and_without_any_no_end(
    local: Connect, condition: str
) -> None:
    warned = list[str]()
    session = local(lambda _: {"items": ROWS, **GAPS[condition]})
    assert read(session, "none", warn=warned.append) == [row["id"] for row in ROWS]
    key = condition.partition(" ")[0]
    assert [text.partition(" at ")[0] for text in warned] == [
        f"Page 1 says that records are missing from it ({key})"
    ]
    empties: list[dict[str, Any]] = [{"items": []}, {"items": None}, {}]
    for items in empties:
        api = Api("page", {1: {**items, **GAPS[condition]}})
        with pytest.raises(RecordsNotFound, match="root error") as caught:
            read(local(api), "page", ALLOWED)
        assert caught.value.retryable
        assert f'responses: [{{when: "{condition}", action: end}}]' in str(caught.value)


REMARKS: dict[str, Any] = {
    "warnings": {"main": {"warnings": "Unrecognized parameter: updated_since."}},
    "warning": "limit was lowered to\n100",
    "warningMessages": ["The value 'x' does not exist for the field 'project'."],
}


@pytest.mark.parametrize("key", REMARKS)
@pytest.mark.parametrize("items", [ROWS, []])
def test_a_warning_of_the_api_itself_is_one_of_the_run(
    local: Connect, items: list[dict[str, Any]], key: str
) -> None:
    warned = list[str]()
    session = local(lambda _: {"items": items, key: REMARKS[key]})
    read(session, "none", warn=warned.append)
    quoted = " ".join(str(REMARKS[key]).split())
    remarks = [text for text in warned if text.startswith(f"The API itself warns ({key}: ")]
    assert len(remarks) == 1
    assert quoted[-20:].strip("]}'\"") in remarks[0]


def test_the_same_remark_of_all_pages_has_one_text_and_no_secret(local: Connect) -> None:
    warned = list[str]()
    remark = {"warnings": "not allowed for Bearer abcdef123456 " + "x" * 400}
    pages = {n: {"items": ROWS[n : n + 1], "next": n + 1, **remark} for n in (0, 1)}
    pages[2] = {"items": ROWS[2:3], **remark}
    session = local(lambda request: pages[int(request.query.get("at", 0))])
    assert len(read(session, "cursor", warn=warned.append)) == 3
    assert len(set(warned)) == 1
    assert "abcdef123456" not in warned[0]
    assert "x…)" in warned[0]


@pytest.mark.parametrize("nothing", [{}, [], "", None, "none", False, 3, {"code": 0}])
def test_empty_warnings_and_records_of_that_name_are_no_remark(
    local: Connect, nothing: Any
) -> None:
    warned = list[str]()
    assert read(local(lambda _: {"items": ROWS, "warnings": nothing}), "none", warn=warned.append)
    records = Records(path="warnings")
    assert read(local(lambda _: {"warnings": ROWS}), "none", records, warn=warned.append)
    assert warned == []


def test_an_answer_that_lacks_nothing_and_a_single_record_are_as_they_were(local: Connect) -> None:
    warned = list[str]()
    session = local(lambda _: {"items": ROWS, **WHOLE})
    assert len(read(session, "none", warn=warned.append)) == len(ROWS)
    one = Records(path="@", single=True)
    order = {"id": 7, "partialResults": True, "timed_out": True}
    assert read(local(lambda _: order), "none", one, warn=warned.append) == [7]
    assert warned == []


@pytest.mark.parametrize("decode", [False, True])
def test_records_that_are_null_are_a_warning(local: Connect, *, decode: bool) -> None:
    """As GraphQL's nodes that the user may not see."""
    warned = list[str]()
    session = local(lambda _: {"items": [None, {"id": 1}, None, {"id": None}]})
    options: dict[str, Any] = {"records": Records(path="items"), "decode": decode}
    (page,) = pull(session, ApiRequest("/x"), warn=warned.append, **options)
    assert page.count == 4
    assert [text.partition(" at ")[0] for text in warned] == ["Page 1 has 2 records that are null"]


SERIES = "results[0].series[0].values[*].{id: [0]}"
BROKEN = {"statement_id": 0, "error": "query-timeout limit exceeded"}
INNER: dict[str, tuple[str, dict[str, Any]]] = {
    "results[0].error": (SERIES, {"results": [BROKEN]}),
    "results[0].errors": (SERIES, {"results": [{"series": None, "errors": ["internal"]}]}),
    "results[-1].error": ("results[-1].rows[?on]", {"results": [{}, BROKEN]}),
    'data."rows-of".error': ('data."rows-of".items', {"data": {"rows-of": BROKEN}}),
}


def read_rules(message: str) -> list[ResponseRule]:
    """The rules that an error tells to write, as YAML reads them."""
    written = message.partition("responses: ")[2].partition("}]")[0] + "}]"
    return [ResponseRule(**rule) for rule in yaml.safe_load(written)]


@pytest.mark.parametrize("key", INNER)
def test_an_error_where_the_list_should_be_is_no_end(local: Connect, key: str) -> None:
    """InfluxDB answers 200 and leaves out empty lists: only its inner error shows that a query failed."""
    path, body = INNER[key]
    with pytest.raises(RecordsNotFound) as caught:
        read(local(lambda _: body), "page", Records(path=path, absent="empty"))
    assert caught.value.retryable
    assert f"has an error ({key}) and no records" in str(caught.value)
    assert "records.absent" not in str(caught.value)
    (rule,) = read_rules(str(caught.value))
    assert rule.when == key
    options: dict[str, Any] = {"responses": [rule], "warn": lambda _: None}
    assert read(local(lambda _: body), "page", Records(path=path), **options) == []


def test_a_later_page_with_an_inner_error_is_no_end(local: Connect) -> None:
    pages = iter([{"results": [{"series": [{"values": [[1], [2]]}]}]}])
    session = local(lambda _: next(pages, {"results": [BROKEN]}))
    with pytest.raises(RecordsNotFound, match="query-timeout"):
        read(session, "page", Records(path=SERIES))


@pytest.mark.parametrize(
    "result",
    [
        {"statement_id": 0},
        {"series": [], "error": None},
        {"series": [{"values": []}], "error": "a field of what the list belongs to"},
    ],
)
def test_an_absent_or_empty_inner_list_is_an_end(local: Connect, result: dict[str, Any]) -> None:
    session = local(lambda _: {"results": [result]})
    assert read(session, "page", Records(path=SERIES), warn=lambda _: None) == []
