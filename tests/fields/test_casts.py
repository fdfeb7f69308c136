"""Casts are exact or fail."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import InvalidRecord
from tests.fields.reshape import reshape, reshape_json

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False).filter(
    lambda number: not number or -300 < number.adjusted() < 300
)


@given(DECIMALS)
def test_a_decimal_keeps_all_its_digits_from_text_and_from_number(number: Decimal) -> None:
    for given_value in (f'"{number}"', str(number)):
        written = reshape_json(f'{{"a":{given_value}}}', cast={"a": "decimal"})
        back = json.loads(written, parse_float=Decimal, parse_int=Decimal)["a"]
        assert (back, back.as_tuple()) == (number, number.as_tuple())


@given(st.integers(), st.integers(0, 3))
def test_an_integer_is_exact_however_it_is_written(number: int, zeros: int) -> None:
    for value in (f"{number}", f'"{number}"', f"{number}.{'0' * zeros}0", f'" {number} "'):
        assert reshape_json(f'{{"a":{value}}}', cast={"a": "integer"}) == f'{{"a":{number}}}'


@given(DECIMALS)
def test_the_text_of_a_number_is_what_the_api_wrote(number: Decimal) -> None:
    assert reshape(f'{{"a":{number}}}', cast={"a": "text"}) == {"a": str(number)}


@given(st.text(max_size=12) | st.from_regex(r"[-+]?[0-9]{0,3}[.,eE_]?[0-9]{0,3}", fullmatch=True))
def test_any_text_is_a_number_of_json_or_refused(text: str) -> None:
    try:
        written = reshape_json({"a": text}, cast={"a": "decimal"})
    except InvalidRecord:
        return
    assert json.loads(written, parse_float=Decimal, parse_int=Decimal)["a"] == Decimal(text)


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        ("12.50", "text", '"12.50"'),
        ("1E5", "text", '"1E5"'),
        ("true", "text", '"true"'),
        ("null", "text", "null"),
        ('{"b": 1.0}', "text", '"{\\"b\\": 1.0}"'),
        ('"+007.50"', "decimal", "7.50"),
        ('".5"', "decimal", "0.5"),
        ('"5."', "decimal", "5"),
        ('"-.5e-3"', "decimal", "-0.5e-3"),
        ("1e3", "integer", "1000"),
        ('"12.000"', "integer", "12"),
        ("-0.0", "integer", "0"),
        ("120e-1", "integer", "12"),
        *[(f'"{word}"', "boolean", "true") for word in ("true", "TRUE", "1", "yes", "Y", " on ")],
        *[(f'"{word}"', "boolean", "false") for word in ("false", "0", "No", "f", "off")],
        ("1", "boolean", "true"),
        ("false", "boolean", "false"),
        ('"{\\"b\\": 1.50}"', "json", '{"b": 1.50}'),
        ('"[1,\\n2]"', "json", "[1,2]"),
        ('{"b":1}', "json", '{"b":1}'),
    ],
)  # fmt: skip
def test_a_cast_by_example(value: str, kind: str, wanted: str) -> None:
    assert reshape_json(f'{{"a":{value}}}', cast={"a": kind}) == f'{{"a":{wanted}}}'


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        *[(value, "integer") for value in ("1.5", '"1.5"', '"x"', "true", "[1]", '""', '"1e400"', '"1e-1"')],
        *[(value, "decimal") for value in ('"1,5"', '"1_000"', '"٣"', '"NaN"', '"Infinity"', '"0x1"', '"1e999"', '"."')],
        *[(value, "decimal") for value in ("true", "{}", '"-"', '"1 000"', '"1e99999999999"', '"e5"', '"+"')],
        *[(value, "boolean") for value in ("2", '"maybe"', '""', "[]", "1.0")],
        *[(value, "json") for value in ('"{"', '""', '"NaN"', '"text"')],
    ],
)  # fmt: skip
def test_a_cast_that_would_lose_or_guess_fails(value: str, kind: str) -> None:
    with pytest.raises(InvalidRecord, match="The field 'a' cannot be"):
        reshape_json(f'{{"a":{value}}}', cast={"a": kind})


def test_a_failed_cast_is_kept_or_made_null() -> None:
    record: dict[str, Any] = {"a": "x", "b": [{"c": "1"}, {"c": "y"}]}
    cast = {"a": "integer", "b[].c": "integer"}
    assert reshape(record, cast=cast, on_error="keep")["b"] == [{"c": 1}, {"c": "y"}]
    assert reshape(record, cast=cast, on_error="null") == {"a": None, "b": [{"c": 1}, {"c": None}]}


def test_the_error_of_a_cast_says_what_was_found() -> None:
    with pytest.raises(InvalidRecord) as failure:
        reshape({"a": 1.5}, cast={"a": "integer"})
    assert str(failure.value) == (
        "The field 'a' cannot be cast to integer without loss: it is the number '1.5'. "
        "Correct fields.cast, or set fields.on_error to keep or null."
    )
