"""Numbers keep all digits wherever records are looked into."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any

import jmespath
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.decoders.numbers import ExactFloat, decode, encode, to_plain_numbers
from oauth_taskflow.api.options import CursorPaginator, Records
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from tests.api.conftest import Connect, Serve
from tests.api.scripted import Asked, Reply

digits = st.text("0123456789", min_size=1, max_size=25)
# Numbers as JSON writes them (RFC 8259 §6).
written = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.integers(1, 10**25),
    digits.map(".{}".format) | st.just(""),
    st.integers(0, 99).map("e-{}".format) | st.integers(0, 99).map("E+{}".format) | st.just(""),
)


@given(st.lists(written, max_size=6))
def test_decoded_numbers_are_written_as_the_api_wrote_them(texts: list[str]) -> None:
    body = f"[{','.join(texts)}]".encode()
    assert encode(decode(body)) == body


@given(written, written)
def test_numbers_compare_to_the_last_digit(one: str, other: str) -> None:
    first, second = decode(one), decode(other)
    if isinstance(first, ExactFloat) and isinstance(second, ExactFloat):
        assert (first < second) == (Decimal(one) < Decimal(other))
        assert (first == second) == (Decimal(one) == Decimal(other))
        assert (first >= second) == (Decimal(one) >= Decimal(other))
    assert first <= decode(one)


def test_an_exact_float_is_a_float_to_other_libraries() -> None:
    number = decode(b"1.10")
    assert (number + 1, number == 1.1, hash(number), f"{number}") == (2.1, True, hash(1.1), "1.10")
    assert jmespath.search("sum(@)", [number, 1]) == 2.1
    for same in (pickle.loads(pickle.dumps(number)), copy.deepcopy(number)):
        assert (type(same), str(same)) == (ExactFloat, "1.10")
    assert json.dumps(to_plain_numbers({"a": [number, 1, "x"]})) == '{"a": [1.1, 1, "x"]}'
    assert type(to_plain_numbers([number])[0]) is float


BODY = b'{"items":[{"id":0.10000000000000000001,"v":1.50},{"id":0.10000000000000000002,"v":12}]}'


def test_expressions_keep_the_digits_of_the_numbers_they_pass_on(
    serve: Serve, connect: Connect
) -> None:
    session = connect(serve(lambda _: Reply(BODY)))
    paths = ["items[?v > `1`]", "items[*].{id: id, v: v}", "sort_by(items, &id)"]
    for path in paths:
        (page,) = pull(session, ApiRequest("/"), records=Records(path=path))
        assert b'{"items":' + encode(page.records) + b"}" == BODY


@pytest.mark.parametrize("place", ["query", "body"])
def test_cursors_of_the_last_record_keep_their_digits(
    serve: Serve, connect: Connect, place: str
) -> None:
    def route(asked: Asked) -> Any:
        return Reply(BODY) if len(api.asked) == 1 else {"items": []}

    api = serve(route)
    options: dict[str, Any] = {"param": "after"} if place == "query" else {"body": "page.after"}
    request = ApiRequest("/", "GET" if place == "query" else "POST", json={"q": [1.5]})
    pages = pull(
        connect(api),
        request,
        paginate=CursorPaginator(last_record="id", **options),
        records=Records(path="items"),
    )
    assert len(list(pages)) == 2
    if place == "query":
        assert api.asked[1].query["after"] == "0.10000000000000000002"
    else:
        assert api.asked[1].body == b'{"q":[1.5],"page":{"after":0.10000000000000000002}}'
        assert api.asked[1].headers["Content-Type"] == "application/json"


def test_a_sessions_own_records_hold_ordinary_floats(serve: Serve, connect: Connect) -> None:
    records = list(connect(serve(lambda _: Reply(BODY))).paginate("/", records="items"))
    assert [type(record["id"]) for record in records] == [float, float]
    assert msgspec.json.encode(records[0]) == b'{"id":0.1,"v":1.5}'


def test_exact_numbers_differ_and_are_ordered_by_their_last_digit() -> None:
    one, other = (ExactFloat.parse(f"0.1234567890123456789{digit}") for digit in "12")
    assert one != other
    assert one < other
    assert other > one
    assert one <= other >= one
    assert not other < one
    assert (one < 0.5, one != 0.5) == (True, True)


def test_a_value_that_json_does_not_have_is_named_by_its_type() -> None:
    assert encode({"n": ExactFloat.parse("1.10")}) == b'{"n":1.10}'
    with pytest.raises(NotImplementedError, match="objects of type object"):
        encode(object())
