"""JSON Schema in and out: both directions keep everything, and what is not understood is refused with its place."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from oauth_taskflow.errors import SpecError
from oauth_taskflow.record_schema.json_schema import schema_from_json, schema_to_json
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.record_schema.test_model import TYPES
from tests.record_schema.test_observer import observe


@given(st.dictionaries(st.sampled_from(["a", "b/c", "d~"]), TYPES, max_size=3))
def test_a_schema_that_was_written_is_read_as_the_same(fields: dict[str, FieldType]) -> None:
    document = schema_to_json(RecordSchema(fields))
    Draft202012Validator.check_schema(document)
    assert schema_from_json(document) == RecordSchema(fields)


def test_the_document_says_what_other_tools_understand() -> None:
    records: list[Any] = [
        {"id": 1, "at": "x", "tags": ["a"], "o": {"big": 2**63}},
        {"id": 2, "at": None, "tags": [], "o": {"big": 1, "mixed": [1, "a"]}},
    ]
    document = schema_to_json(RecordSchema(observe(*records)))
    assert document == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "at": {"type": ["string", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "o": {
                "type": "object",
                "properties": {
                    "big": {"type": "number", "format": "decimal"},
                    "mixed": {"type": ["array", "null"], "items": {}},
                },
                "required": ["big"],
            },
        },
        "required": ["id", "tags", "o"],
    }
    validator = Draft202012Validator(document)
    assert all(validator.is_valid(record) for record in records)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "format": "email"}, FieldType("text", nullable=True)),
        ({"type": "integer", "format": "int64"}, FieldType("integer", nullable=True, wide=True)),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, FieldType("integer", nullable=True)),
        ({"type": ["string", "integer"]}, FieldType("json", nullable=True)),
        ({"type": "object"}, FieldType("json", nullable=True)),
        (
            {"type": "array"},
            FieldType("list", nullable=True, item=FieldType("json", nullable=True)),
        ),
        (
            {"type": ["number", "null"], "format": "decimal(12,2)"},
            FieldType("fixed", nullable=True, precision=12, scale=2),
        ),
        ({"title": "Anything"}, FieldType("json", nullable=True)),
        (True, FieldType("json", nullable=True)),
    ],
)
def test_schemas_of_other_tools_are_read(schema: Any, expected: FieldType) -> None:
    assert schema_from_json({"type": "object", "properties": {"f": schema}}).fields["f"] == expected


@pytest.mark.parametrize(
    ("document", "flaw"),
    [
        ([], "#: a schema is a mapping"),
        ({"type": "array"}, "#: the schema of a record has type object"),
        ({"type": "object"}, "#: it has no properties"),
        ({"type": "object", "properties": {"a": {"minimum": 3}}}, "#/properties/a/minimum: 'minimum' is not read"),
        ({"type": "object", "propertys": {}}, "#/propertys: 'propertys' is not read here. Did you mean 'properties'?"),
        ({"type": "object", "properties": {"a/b": {"$ref": "#"}}}, "#/properties/a~1b/$ref: "),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "#/properties/a/type: there is no type 'text'"),
        ({"type": "object", "properties": {}, "required": ["x"]}, "#/required: 'x' is not among"),
        ({"type": "object", "properties": {"a": {"anyOf": []}}}, "#/properties/a/anyOf: it is a list"),
        ({"type": "object", "properties": {"a": {"type": []}}}, "#/properties/a/type: a type is a name"),
        ({"type": "object", "properties": []}, "#/properties: properties are a mapping"),
        ({"type": "object", "properties": {}, "required": 1}, "#/required: it is a list"),
        ({"type": "object", "properties": {}, "required": [["x"]]}, "#/required: it is a list"),
        ({"type": [["object"]]}, "#/type: a type is a name or a list of names"),
        ({"type": ["object", None]}, '#/type: a type is a name or a list of names; null is written "null", in quotes'),
        ({"type": "object", "properties": {}, "additionalProperties": {}}, "#/additionalProperties: it is true"),
        ({"type": "object", "properties": {"a": {"type": "number", "format": "decimal(39, 2)"}}}, "#/properties/a/format: the digits are 1 to 38"),
        ({"type": "object", "properties": {"a": False}}, "#/properties/a: a schema is a mapping"),
    ],
)  # fmt: skip
def test_what_has_no_place_in_a_record_schema_is_refused_with_its_place(
    document: Any, flaw: str
) -> None:
    with pytest.raises(SpecError) as refused:
        schema_from_json(document)
    assert flaw in str(refused.value)


_WORDS = ("type", "properties", "required", "items", "anyOf", "format", "additionalProperties")
_NAMES = st.none() | st.integers() | st.sampled_from(["object", "array", "number", "null", "a"])
_ANY = st.recursive(
    _NAMES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.fixed_dictionaries({}, optional=dict.fromkeys((*_WORDS, "a", 1, None), inner))
    ),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(_WORDS, _ANY)))
def test_any_document_is_a_schema_or_is_refused(document: Any) -> None:
    for given_ in (document, {"type": "object", "properties": {"a": document}}):
        with suppress(SpecError):
            schema_to_json(schema_from_json(given_))


@pytest.mark.parametrize("nullable", [False, True])
def test_a_value_of_any_type_is_json(nullable: bool) -> None:
    kinds = ["string", "number", "integer", "boolean", "array", "object"]
    names = [name for name in kinds if name != "integer"] + ["null"] * nullable
    document = {"type": "object", "properties": {"a": {"type": names}}, "required": ["a"]}
    assert schema_from_json(document).fields["a"] == FieldType("json", nullable=nullable)


def test_levels_beyond_those_of_a_schema_are_json() -> None:
    inner: Any = {"type": "integer"}
    for _ in range(40):
        inner = {"type": "array", "items": inner}
    kind = schema_from_json(
        {"type": "object", "properties": {"a": inner}, "required": ["a"]}
    ).fields["a"]
    while kind.item is not None:
        kind = kind.item
    assert kind.kind == "json"


def test_a_number_of_fixed_digits_is_written_and_read_with_them() -> None:
    schema = RecordSchema({"total": FieldType("fixed", precision=12, scale=2)})
    document = schema_to_json(schema)
    assert document["properties"] == {"total": {"type": "number", "format": "decimal(12, 2)"}}
    assert schema_from_json(document) == schema
