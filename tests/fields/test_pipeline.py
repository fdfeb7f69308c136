"""The effect of each step of ``fields``, and their order."""

from __future__ import annotations

import copy
import hashlib
import hmac
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.decoders.numbers import decode
from oauth_taskflow.errors import InvalidRecord, TemplateFailed
from tests.fields.reshape import HASH_KEY, build_pipeline, reshape, reshape_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text(max_size=6), JSON, max_size=5)
ELSEWHERE = {
    "spread": ["no such.field"],
    "move": {"no such": "x", "no[].a": "no[].b"},
    "set": {"new one": {"path": '"no such"'}},
    "dates": {"no such field*": "any", "no such[]": "iso"},
    "cast": {"no such.at all": "integer"},
    "collect": {"new": {"keys": "no such field*"}},
    "drop": ["no such", "no such.field", "no[].such"],
    "hash": ["no such.field"],
}


@given(RECORDS)
def test_a_record_in_which_nothing_matches_stays_the_same(record: dict[str, Any]) -> None:
    assert reshape(record, **ELSEWHERE) == record


def test_what_no_step_touches_keeps_its_bytes() -> None:
    text = r'{"n":1.50,"big":123456789012345678901234567890,"e":1E5,"t":"\u00e9","in":{"x":0.10, "y":[1.0]},"gone":1}'
    assert reshape_json(text, drop=["gone"]) == text.replace(',"gone":1', "")


def test_a_decoded_record_is_not_changed() -> None:
    record = decode(b'{"a": {"b": [{"c": 1.10}]}, "d": "2020-01-01"}')
    before = copy.deepcopy(record)
    pipeline = build_pipeline({"drop": ["a.b[].c"], "dates": {"d": "iso"}})
    assert bytes(pipeline.reshape(record)) == b'{"a":{"b":[{}]},"d":"2020-01-01T00:00:00Z"}'
    assert record == before


def test_the_steps_come_in_the_documented_order_whatever_the_files() -> None:
    record = {
        "attributes": {"createdAt": "31/01/2026", "amount": "1.50"},
        "links": {"self": {"href": "u"}},
        "cf_a": 1,
        "ownerMail": "a@b.example",
        "note": "",
    }
    options = {
        "hash": ["owner_mail"],
        "drop_values": [""],
        "drop": ["links_self"],
        "flatten": "_",
        "names": "snake_case",
        "collect": {"custom": {"keys": "cf_*", "as": ["name", "value"]}},
        "cast": {"amount": "decimal"},
        "dates": {"createdAt": "%d/%m/%Y"},
        "set": {"readAt": "{{ day }}", "copyOfUrl": {"path": "selfUrl"}},
        "move": {"links.self.href": "selfUrl"},
        "spread": ["attributes"],
    }
    found = reshape(record, {"day": "2026-02-01"}, **options)
    assert len(found.pop("owner_mail")) == 64
    assert found == {
        "created_at": "2026-01-31T00:00:00Z",
        "amount": 1.5,
        "self_url": "u",
        "copy_of_url": "u",
        "read_at": "2026-02-01",
        "custom": [{"name": "cf_a", "value": 1}],
    }


@pytest.mark.parametrize(
    ("record", "options", "wanted"),
    [
        ({"a": {"b": 1}, "c": 2}, {"spread": ["a"]}, {"b": 1, "c": 2}),
        ({"a": {"a": 1}}, {"spread": ["a"]}, {"a": 1}),
        ({"a": None, "c": 2}, {"spread": ["a"]}, {"c": 2}),
        ({"i": [{"x": {"y": 1}}, {}]}, {"spread": ["i[].x"]}, {"i": [{"y": 1}, {}]}),
        ({"a": 1, "b": 2}, {"move": {"a": "b", "b": "a"}}, {"b": 1, "a": 2}),
        ({"a": {"b": 1, "c": 2}}, {"move": {"a": "x", "a.b": "y"}}, {"x": {"c": 2}, "y": 1}),
        ({"a": 1}, {"move": {"a": "b.c"}}, {"b": {"c": 1}}),
        ({"a": 1, "b": None}, {"move": {"a": "b.c"}}, {"b": {"c": 1}}),
        ({"a": 1, "b": 2}, {"move": {"a": "b"}}, {"b": 1}),
        ({"i": [{"a": 1}, {"c": 2}, 5]}, {"move": {"i[].a": "i[].b.d"}}, {"i": [{"b": {"d": 1}}, {"c": 2}, 5]}),
        ({"i": [{"a": 1}]}, {"move": {"i[].a": "i[].b", "i": "j"}}, {"j": [{"b": 1}]}),
        ({"t": [{"id": 1}, {"id": 2}]}, {"set": {"ids": {"path": "t[].id"}}}, {"t": [{"id": 1}, {"id": 2}], "ids": [1, 2]}),
        ({"a": 1}, {"set": {"x": {"path": "no"}, "y": 2, "z": True, "w": "text"}}, {"a": 1, "y": 2, "z": True, "w": "text"}),
        ({"a": 1}, {"set": {"b": "{{ record.a }}", "c": "{{ record.a }}!"}}, {"a": 1, "b": 1, "c": "1!"}),
        ({"a": 1}, {"set": {"b": "{{ record | length }}"}}, {"a": 1, "b": 1}),
        ({"a": 1, "c": 2}, {"set": {"b": "{{ record.keys() | join }}"}}, {"a": 1, "c": 2, "b": "ac"}),
        ({"p": {"cf_a": 1, "b": 2}}, {"collect": {"cf": {"keys": "p.cf_*"}}}, {"p": {"b": 2}, "cf": {"cf_a": 1}}),
        ({"a": {"bC": [{"dE": 1}]}}, {"names": "snake_case"}, {"a": {"b_c": [{"d_e": 1}]}}),
        ({"A": {"Bc": 1}}, {"names": "lower_case"}, {"a": {"bc": 1}}),
        ({"a": {"b": {"c": 1}, "e": {}}, "l": [{"m": {"n": 1}}]}, {"flatten": "."}, {"a.b.c": 1, "a.e": {}, "l": [{"m": {"n": 1}}]}),
        ({"i": [{"h": 1, "k": 2}, 3]}, {"drop": ["i[].h"]}, {"i": [{"k": 2}, 3]}),
        ({"a_at": 1, "b": {"c_at": 2}}, {"drop": ["*_at", "b.*_at"]}, {"b": {}}),
        ({"a": "", "b": {"c": None, "d": 1}, "e": [None, {"f": ""}]}, {"drop_values": [None, ""]}, {"b": {"d": 1}, "e": [None, {}]}),
        ({"a": 0, "b": 0.0, "c": False, "d": "0"}, {"drop_values": [0]}, {"c": False, "d": "0"}),
        ({"a": 9007199254740992, "b": 9007199254740993}, {"drop_values": [9007199254740993]}, {"a": 9007199254740992}),
        ({"a": {"b": None}, "c": [], "d": [1]}, {"drop_values": [None, {}, []]}, {"d": [1]}),
        ({"@odata.etag": 1, "b": 2}, {"drop": ['"@odata.etag"']}, {"b": 2}),
        ({"a": {"b": 1}, "c": ""}, {"drop_values": [""]}, {"a": {"b": 1}}),
        ({"a": 1, "b": [{"c": 2}]}, {"flatten": "_"}, {"a": 1, "b": [{"c": 2}]}),
        ({"a": 1}, {"collect": {"cf": {"keys": "cf_*"}}}, {"a": 1}),
    ],
)  # fmt: skip
def test_a_step_by_example(record: Any, options: Any, wanted: Any) -> None:
    assert reshape(record, **options) == wanted


def test_an_escaped_text_is_a_value_to_drop_like_a_plain_one() -> None:
    assert reshape_json('{"a":"\\u002d","b":{"c":"\\u002d"}}', drop_values=["-"]) == '{"b":{}}'


@pytest.mark.parametrize(
    ("record", "options", "message"),
    [
        ({"a": {"b": 1}, "b": 2}, {"spread": ["a"]}, "fields.spread would overwrite the field 'b' of the record. Lift out what "),
        ({"a": [1]}, {"spread": ["a"]}, "fields.spread needs a mapping in the field 'a', which is a list"),
        ({"a": 1, "b": 2}, {"set": {"b": 3}}, "fields.set would overwrite the field 'b' of the record. Choose another name"),
        ({"a": 1, "b": 2}, {"move": {"a": "b.c"}}, "fields.move cannot write the field 'b.c', because 'b' is a number"),
        ({"aB": 1, "a_b": 2}, {"names": "snake_case"}, "fields.names would overwrite the field 'a_b' of the record. 'a_b' and"),
        ({"a": {"b": 1}, "a_b": 2}, {"flatten": "_"}, "fields.flatten would overwrite the field 'a_b' of the record"),
        ({"a_x": 1, "c": 1}, {"collect": {"c": {"keys": "a_*"}}}, "fields.collect would overwrite the field 'c' of the record"),
        ({"a": {"x": 1}, "b": {"x": 1}}, {"collect": {"c": {"keys": ["a.x", "b.x"]}}}, "fields.collect would overwrite the field 'x'"),
        ({"a": {"b": 1}}, {"hash": ["a"]}, r"fields.hash needs a single value in the field 'a', which is a mapping. Name what is"),
        ('"text"', {"drop": ["a"]}, "A record is a single value, which has no fields"),
        ({"a": 1}, {"set": {"b": {"path": "length(a)"}}}, "of fields.set.b does not fit a record"),
    ],
)  # fmt: skip
def test_a_step_that_would_guess_or_overwrite_fails(
    record: Any, options: Any, message: str
) -> None:
    with pytest.raises(InvalidRecord) as failure:
        reshape(record, **options)
    assert message in str(failure.value)


def test_a_template_without_a_value_fails() -> None:
    with pytest.raises(TemplateFailed, match="has no attribute 'b'"):
        reshape({"a": 1}, set={"c": "{{ record.b }}"})
    with pytest.raises(TemplateFailed, match="it gave null"):
        reshape({"a": None}, set={"c": "{{ record.a }}"})


def test_new_fields_share_nothing_with_what_they_come_from() -> None:
    options = {"set": {"copy": {"path": "t"}}, "dates": {"t[].at": "epoch"}}
    assert reshape({"t": [{"at": 0}]}, **options) == {
        "t": [{"at": "1970-01-01T00:00:00Z"}],
        "copy": [{"at": 0}],
    }


@given(st.text(), st.integers(16, 64))
def test_a_hash_is_stable_and_no_longer_than_asked_for(text: str, length: int) -> None:
    options = {"hash": {"fields": ["a", "b[]"], "length": length}}
    first = reshape({"a": text, "b": [text, None]}, **options)
    assert first == reshape({"a": text, "b": [text, None]}, **options)
    assert first["b"] == [first["a"], None]
    assert len(first["a"]) == length


def test_a_hash_is_hmac_sha256_under_the_key() -> None:
    wanted = hmac.new(HASH_KEY.encode(), b"12.50", hashlib.sha256).hexdigest()
    assert (
        reshape_json('{"a":12.50,"b":"12.50"}', hash=["*"]) == f'{{"a":"{wanted}","b":"{wanted}"}}'
    )


def test_a_path_that_finds_nothing_to_hash_is_reported() -> None:
    pipeline = build_pipeline({"hash": ["email", "emial", "in[].x"]})
    assert list(pipeline.warnings()) == []
    pipeline.reshape({"email": None, "in": [{}]})
    assert [text.partition(". ")[0] for text in pipeline.warnings()] == [
        "fields.hash: none of 1 records has a field 'emial'",
        "fields.hash: none of 1 records has a field 'in[].x'",
    ]


@pytest.mark.parametrize(
    "options", [{"names": "snake_case"}, {"flatten": "."}, {"drop_values": [0]}]
)
def test_a_record_nested_without_end_fails_as_a_record(options: Any) -> None:
    with pytest.raises(InvalidRecord, match="nested too deeply for names, flatten or drop_values"):
        reshape_json('{"a":' + '{"B":' * 990 + "1" + "}" * 990 + "}", **options)


def test_a_deep_record_is_not_opened_below_its_first_level() -> None:
    deep = b'{"a":' + b"[" * 400 + b"]" * 400 + b',"b":1}'
    pipeline = build_pipeline({"drop": ["b"]})
    assert bytes(pipeline.reshape(msgspec.Raw(deep))) == deep.replace(b',"b":1', b"")


@pytest.mark.parametrize(
    ("record", "options", "found"),
    [
        ({"a": 5}, {"move": {"a.b": "c"}}, {"a": 5}),
        ({"a": 5}, {"dates": {"a[]": "iso"}}, {"a": 5}),
        ({"a": {"b": 5}}, {"drop": ["a.b.c"]}, {"a": {"b": 5}}),
        ({"a": [{"b": 1}, 5]}, {"drop": ["a[].b"]}, {"a": [{}, 5]}),
    ],
)
def test_a_path_through_another_kind_of_value_matches_nothing(
    record: Any, options: Any, found: Any
) -> None:
    assert reshape(record, **options) == found


@pytest.mark.parametrize(
    ("value", "text"), [('"1"', "1"), ("1.50", "1.50"), ("[1]", "[1]"), ('{"a":1}', '{"a":1}')]
)
def test_a_text_is_what_the_api_wrote(value: str, text: str) -> None:
    assert reshape(f'{{"a":{value}}}', cast={"a": "text"}) == {"a": text}


def test_a_value_that_a_template_made_is_cast_too() -> None:
    found = reshape({"id": 1}, {"n": 7}, set={"n": "{{ n }}"}, cast={"n": "text"})
    assert found == {"id": 1, "n": "7"}


def test_a_template_that_gives_what_json_does_not_have_is_refused() -> None:
    with pytest.raises(
        InvalidRecord, match=r"fields\.set has the type object, which JSON does not have"
    ):
        reshape({"a": 1}, {"thing": object()}, set={"x": "{{ thing }}"})
