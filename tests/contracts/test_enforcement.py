"""A contract takes exactly the records that its schema describes, and leaves the bytes of those alone."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from oauth_taskflow.contracts.enforcement import Enforcement
from oauth_taskflow.contracts.inline_schema import read_fields
from oauth_taskflow.contracts.options import Contract, Mode
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.record_schema.generated_types import build_check
from oauth_taskflow.record_schema.json_schema import schema_from_json, schema_to_json
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from oauth_taskflow.record_schema.observe import fits_fixed
from oauth_taskflow.record_values import apply_policy
from tests.support.schemas import observe_all
from tests.support.values import HIDE_ALL

URL = "https://api.example.com/items"
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([1, -5, "x", True, None, 0.5, [], {}]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    ),
    max_leaves=4,
)
RECORDS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=3)


def raw(record: Any) -> msgspec.Raw:
    return msgspec.Raw(record.encode() if isinstance(record, str) else json.dumps(record).encode())


def schema_of(**fields: Any) -> RecordSchema:
    read, flaws = read_fields({name.replace("__", "?"): kind for name, kind in fields.items()})
    assert flaws == []
    return RecordSchema(read)


def enforce(
    schema: RecordSchema | None, *records: Any, columns: Mode = "evolve", types: Mode = "evolve"
) -> tuple[list[Any], Enforcement]:
    enforcement = Enforcement(Contract(columns=columns, types=types), schema)
    kept = enforcement.take([raw(each) for each in records], URL)
    return [json.loads(bytes(each)) for each in kept], enforcement


def close(document: Any) -> Any:
    """A JSON Schema in which objects have no other fields."""
    if isinstance(document, list):
        return [close(each) for each in document]
    if not isinstance(document, dict):
        return document
    made = {name: close(value) for name, value in document.items()}
    return {**made, "additionalProperties": False} if "properties" in made else made


@given(st.lists(RECORDS, max_size=3), RECORDS)
def test_a_frozen_contract_takes_what_json_schema_takes(known: list[Any], record: Any) -> None:
    schema = observe_all(map(raw, known)) if known else schema_of(a="integer")
    valid = Draft202012Validator(close(schema_to_json(schema))).is_valid(record)
    enforcement = Enforcement(Contract(columns="freeze", types="freeze"), schema)
    if valid:
        given_record = raw(record)
        (kept,) = enforcement.take([given_record], URL)
        assert bytes(kept) == bytes(given_record)
    else:
        with pytest.raises(InvalidRecord, match="The contract is frozen"):
            enforcement.take([raw(record)], URL)


@given(st.lists(RECORDS, max_size=3), st.lists(RECORDS, max_size=5))
def test_discarding_leaves_what_the_contract_takes(known: list[Any], records: list[Any]) -> None:
    schema = observe_all(map(raw, known)) if known else schema_of(a="integer")
    rows, by_row = enforce(schema, *records, columns="discard_row", types="discard_row")
    assert len(rows) + len(by_row.rejected) == len(records)
    assert enforce(schema, *rows, columns="freeze", types="freeze")[0] == rows
    values, by_value = enforce(schema, *records, columns="discard_value", types="discard_value")
    assert len(values) == len(records)
    assert enforce(by_value.schema, *values, columns="freeze", types="freeze")[0] == values


@given(st.lists(RECORDS, max_size=3), st.lists(RECORDS, max_size=5))
def test_evolving_unites_the_given_schema_with_what_comes(
    known: list[Any], records: list[Any]
) -> None:
    schema = observe_all(map(raw, known))
    kept, enforcement = enforce(schema if known else None, *records)
    assert kept == records
    assert enforcement.schema == observe_all(map(raw, [*known, *records]))


def test_declared_dates_hold_and_conforming_records_keep_their_bytes() -> None:
    schema = schema_of(at="timestamp", day="date", price="decimal")
    texts = [
        '{"at":"2026-01-31T08:00:00Z","day":"2026-01-31","price":12345678901234567890.10}',
        '{ "at" : "2026-01-31 08:00", "day":"2026-01-31","price": 1.50}',
    ]
    for modes in ("freeze", "evolve", "discard_value"):
        enforcement = Enforcement(Contract(columns=modes, types=modes), schema)
        kept = enforcement.take([raw(text) for text in texts], URL)
        assert [bytes(each).decode() for each in kept] == texts
        assert [kind.kind for kind in enforcement.schema.fields.values()] == [
            "timestamp",
            "date",
            "decimal",
        ]


@pytest.mark.parametrize("text", ["2026-02-30", "31.01.2026", "", 20260131, "2026-01-31T08:00:00Z"])
def test_a_declared_date_that_is_none_breaks_the_contract(text: Any) -> None:
    with pytest.raises(InvalidRecord, match="the schema says date"):
        enforce(schema_of(day="date"), {"day": text}, types="freeze")
    rows, enforcement = enforce(schema_of(day="date"), {"day": text}, types="discard_value")
    assert (rows, enforcement.discarded) == ([{}], {"day": 1})
    evolved = enforce(schema_of(day="date"), {"day": text})[1].schema.fields["day"]
    assert evolved.kind == ("text" if isinstance(text, str) else "json")


def test_a_broken_contract_names_path_record_and_page() -> None:
    schema = schema_of(id="integer", lines=[{"price": "number"}])
    with pytest.raises(InvalidRecord) as broken:
        enforce(
            schema,
            {"id": 1, "lines": []},
            {"id": 2, "lines": [{"price": 1}, {"price": "two"}]},
            types="freeze",
        )
    assert str(broken.value) == (
        "The contract is frozen, and the field 'lines[].price' has text, and the schema says number: the text 'two' "
        "in record 2 of the page at https://api.example.com/items. If the API changed for good, correct "
        "contract.schema; contract.types says what such a record does."
    )


def test_columns_and_types_have_modes_of_their_own() -> None:
    schema = schema_of(id="integer", o={"a": "text"})
    record = {"id": "x", "new": 1, "o": {"a": "t", "b": 2}}
    rows, enforcement = enforce(schema, record, columns="discard_value")
    assert rows == [{"id": "x", "o": {"a": "t"}}]
    assert enforcement.discarded == {"new": 1, "o.b": 1}
    assert enforcement.schema.fields["id"].kind == "json"
    rows, enforcement = enforce(schema, record, types="discard_value")
    assert rows == [{"new": 1, "o": {"a": "t", "b": 2}}]
    assert enforcement.warnings() == [
        "contract: 1 values of 'id' were left out, since the schema does not have them so."
    ]


def test_an_item_of_the_wrong_type_takes_its_list_along() -> None:
    rows, enforcement = enforce(
        schema_of(id="integer", tags=["text"]), {"id": 1, "tags": ["a", 2]}, types="discard_value"
    )
    assert (rows, enforcement.discarded) == ([{"id": 1}], {"tags[]": 1})


def test_a_rejected_record_keeps_its_reason() -> None:
    rows, enforcement = enforce(
        schema_of(id="integer"), {"id": 1}, {"id": 2.5}, {"id": 3}, {}, types="discard_row"
    )
    assert rows == [{"id": 1}, {"id": 3}]
    assert [(bytes(each.record), each.reason) for each in enforcement.rejected] == [
        (b'{"id": 2.5}', "the field 'id' has number, and the schema says integer"),
        (b"{}", "the field 'id' has no value, and the schema says integer"),
    ]


def test_values_of_a_rejected_record_do_not_count_as_left_out() -> None:
    records = [{"new": 1, "a": "x"}, {"new": 2, "a": 3}]
    rows, enforcement = enforce(
        schema_of(a="integer"), *records, columns="discard_value", types="discard_row"
    )
    assert (rows, enforcement.discarded) == ([{"a": 3}], {"new": 1})
    assert enforcement.warnings() == [
        "contract: 1 values of 'new' were left out, since the schema does not have them so.",
        "contract: 1 records were left out, since they are not as the schema says.",
    ]


def test_keys_are_never_left_out() -> None:
    contract = Contract(columns="discard_value", types="discard_value")
    enforcement = Enforcement(contract, schema_of(id="integer", n="integer"), ["id"])
    with pytest.raises(
        InvalidRecord, match=r"A key or change time cannot be left out, and the field 'id'"
    ):
        enforcement.take([raw({"id": "x", "n": "y"})], URL)


def test_values_are_hidden_where_fields_are_hashed() -> None:
    contract = Contract(columns="freeze", types="freeze")
    enforcement = Enforcement(contract, schema_of(n="integer"))
    with apply_policy(HIDE_ALL), pytest.raises(InvalidRecord) as broken:
        enforcement.take([raw({"n": "Jane Doe"})], URL)
    assert "Jane" not in str(broken.value)


def test_integers_grow_under_a_frozen_contract_as_long_as_they_are_integers() -> None:
    schema = schema_of(id="integer")
    _, enforcement = enforce(schema, {"id": 2**60}, types="freeze")
    assert enforcement.schema.fields["id"] == FieldType("integer", wide=True)
    with pytest.raises(InvalidRecord, match="has decimal"):
        enforce(schema, {"id": 2**63}, types="freeze")
    with pytest.raises(InvalidRecord, match="has wide integer, and the schema says number"):
        enforce(schema_of(x="number"), {"x": 2**60}, types="freeze")


def test_another_attempt_goes_on_with_schema_and_counts() -> None:
    contract = Contract(columns="evolve", types="discard_value")
    first = Enforcement(contract, schema_of(id="integer"))
    first.take([raw({"id": "x", "new": 1})], URL)
    again = Enforcement(contract, schema_of(id="integer"))
    again.restore(json.loads(json.dumps(first.save())))
    assert (again.schema, again.discarded) == (first.schema, {"id": 1})
    assert schema_from_json(schema_to_json(again.schema)) == again.schema


@pytest.mark.parametrize("record", ["[1]", "7", '"x"'])
@pytest.mark.parametrize("modes", ["evolve", "freeze"])
def test_a_single_value_is_no_record(record: str, modes: Mode) -> None:
    with pytest.raises(InvalidRecord, match=r"single value or a list.*record 2 of the page"):
        enforce(schema_of(id__="integer"), {}, record, columns=modes, types=modes)


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        ('{"a":"\\ud800","new":1}', '{"a":"\\ud800"}'),
        ('{"a":"x","l":[{"a":"\\udfff","b":1}]}', '{"a":"x","l":[{"a":"\\udfff"}]}'),
        ('{"a":"\\u0000","new":"\\u0000"}', '{"a":"\\u0000"}'),
    ],
)
def test_half_characters_survive_what_is_left_out_beside_them(record: str, kept: str) -> None:
    schema = schema_of(**{"a": "text", "l?": [{"a": "text"}]})
    enforcement = Enforcement(Contract(columns="discard_value", types="freeze"), schema)
    (written,) = enforcement.take([raw(record)], URL)
    assert bytes(written).decode() == kept


MONEY = ["1.10", "12345678901234567890.12", "-0.01", "7", "1e2", "1.100", "0.0", "-12.5E-1"]
TOO_LONG = ["1.105", "123456789012345678901.5", "1e21", "1e-3", '"1.10"', "true"]


@pytest.mark.parametrize("literal", [*MONEY, *TOO_LONG])
def test_a_decimal_takes_numbers_of_its_digits_alone(literal: str) -> None:
    schema = schema_of(total="decimal(22, 2)", lines=[{"price?": "decimal(22, 2)"}])
    plain = '{"total":1.10,"lines":[{"price":null},{}]}'
    record = f'{{"total":1,"lines":[{{"price":2.5}},{{"price":{literal}}}]}}'
    enforcement = Enforcement(Contract(columns="freeze", types="discard_row"), schema)
    # The first ones are looked at value by value, the later ones by compiled code.
    records = [raw(text) for text in (record, *[plain] * 40, record)]
    kept = enforcement.take(records, URL)
    assert len(kept) == (42 if literal in MONEY else 40)
    assert {bytes(one) for one in kept} <= {record.encode(), plain.encode()}
    assert enforcement.schema == schema


def test_a_decimal_with_too_many_digits_is_named_with_its_type() -> None:
    schema = schema_of(total="decimal(12, 2)")
    with pytest.raises(InvalidRecord) as caught:
        enforce(schema, '{"total": 1.105}', types="freeze")
    assert "'total' has number, and the schema says decimal(12, 2): the number '1.105'" in str(
        caught.value
    )
    _, evolved = enforce(schema, '{"total": 1.105}')
    assert evolved.schema.fields["total"].kind == "decimal"


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(1, 38), st.integers(0, 38))
def test_the_compiled_check_and_the_slow_look_say_the_same(
    value: Decimal, precision: int, scale: int
) -> None:
    kind = FieldType("fixed", precision=precision, scale=min(scale, precision))
    check = build_check({"a": kind})
    assert check is not None
    literal = format(value, "f") if abs(value.adjusted()) < 60 else str(value)
    is_held = fits_fixed(literal, kind)
    if check.holds([f'{{"a":{literal}}}'.encode()]):
        assert is_held
    else:
        assert not is_held or "e" in literal.lower()  # an exponent is left to the slow look


@pytest.mark.parametrize(
    "written", ["decimal(0, 0)", "decimal(39, 2)", "decimal(2, 3)", "decimal(2)"]
)
def test_digits_that_no_table_holds_are_refused(written: str) -> None:
    _, (flaw,) = read_fields({"total": written})
    assert flaw.message in {
        "the digits are 1 to 38, and those after the point at most as many",
        "there is no type 'decimal(2)'",
    }


@pytest.mark.parametrize("literal", ["0", "-0.000000", "0e9", "999.99", "1e2", "100.000"])
def test_zeros_at_the_ends_are_no_digits_of_a_fixed_number(literal: str) -> None:
    assert fits_fixed(literal, FieldType("fixed", precision=5, scale=2))


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_a_literal_that_is_no_number_fits_no_fixed_number(literal: str) -> None:
    assert not fits_fixed(literal, FieldType("fixed", precision=5, scale=2))


def test_a_list_without_known_items_takes_no_item_when_frozen() -> None:
    schema = RecordSchema({"a": FieldType("list")})
    assert enforce(schema, {"a": []}, types="freeze", columns="freeze")[0] == [{"a": []}]
    with pytest.raises(InvalidRecord, match=r"a\[\]"):
        enforce(schema, {"a": [1]}, types="freeze", columns="freeze")
    item = enforce(schema, {"a": [1]})[1].schema.fields["a"].item
    assert item is not None
    assert item.kind == "integer"


def test_a_record_that_is_cut_is_refused_with_its_place() -> None:
    enforcement = Enforcement(Contract(columns="freeze"), schema_of(a="integer"))
    with pytest.raises(InvalidRecord, match="not readable as JSON") as caught:
        enforcement.take([raw({"a": 1}), raw('{"a": {]')], URL)
    assert caught.value.where == f"in record 2 of the page at {URL}"


def test_the_fields_that_lost_a_value_are_counted_up_to_a_number() -> None:
    record = {f"f{number}": number for number in range(300)}
    enforcement = enforce(schema_of(a="integer"), record, columns="discard_value")[1]
    assert sum(enforcement.discarded.values()) == 300
    assert enforcement.discarded["…"] > 1
    assert len(enforcement.discarded) < 300


NULLS = [{"id": None, "o": {"a": "x"}}, {"id": 1, "o": {"a": None}}, {"id": 1, "o": None}]


@pytest.mark.parametrize("record", NULLS)
def test_null_is_no_value_of_a_field_that_must_have_one(record: Any) -> None:
    schema = schema_of(id="integer", o={"a": "text"})
    with pytest.raises(InvalidRecord, match="has null, and the schema says"):
        enforce(schema, record, types="freeze")
    assert enforce(schema, record, types="discard_row")[0] == []
    rows, enforcement = enforce(schema, record, types="discard_value")
    assert (rows, enforcement.discarded) == ([record], {})  # leaving it out would say the same


@pytest.mark.parametrize("value", [None, [1, {"b": "x"}], "text"])
def test_a_value_of_any_kind_and_null_where_it_is_allowed_break_no_contract(value: Any) -> None:
    fields = {"a": FieldType("json", nullable=True), "b": FieldType("text", nullable=True)}
    record = {"a": value, "b": None}
    rows, enforcement = enforce(RecordSchema(fields), record, columns="freeze", types="freeze")
    assert (rows, enforcement.schema.fields) == ([record], fields)


def test_a_mapping_of_very_many_fields_is_no_object_of_the_schema() -> None:
    schema = schema_of(id="integer", o={"a": "text"})
    record = {"id": 1, "o": {"a": "x", **{f"k{number}": 1 for number in range(300)}}}
    rows, enforcement = enforce(schema, record)
    assert (rows, enforcement.schema.fields["o"].kind) == ([record], "json")
    rows, enforcement = enforce(schema, record, types="discard_value")
    assert (rows, enforcement.discarded) == ([{"id": 1}], {"o": 1})


@pytest.mark.parametrize("value", ["tru", "[1", '{"b": 1}}', "1."])
def test_a_record_that_is_no_json_within_is_refused_with_its_place(value: str) -> None:
    schema = schema_of(id="integer", o={"a": {"b__": "integer"}})
    with pytest.raises(InvalidRecord) as broken:
        enforce(schema, {"id": 1, "o": {"a": {}}}, f'{{"id": 2, "o": {{"a": {value}}}}}')
    assert "record 2 of the page" in broken.value.where
