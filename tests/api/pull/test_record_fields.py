"""Readers of one field, of raw and decoded records alike."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.pull.record_fields import build_column_reader, build_field_reader
from oauth_taskflow.errors import InvalidRecord


def raw(record: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(record).encode())


def test_a_nested_field_and_a_jmespath_are_read_raw_and_decoded() -> None:
    record = {"meta": {"at": 5}, "list": [3, 9]}
    for path, value in (("meta.at", 5), ("max(list)", 9), ("meta.gone", None), ("gone", None)):
        read = build_field_reader(path)
        assert read(record) == read(raw(record)) == value
    with pytest.raises(InvalidRecord, match="JMESPath 'max\\(list\\)' does not fit the body"):
        build_field_reader("max(list)")({"list": "none"})


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["at", "x"]), st.integers() | st.text() | st.none())
        | st.integers()
    )
)
def test_a_column_reader_reads_the_same_values_as_the_field_reader(records: list[Any]) -> None:
    for path in ("at", "at.x", "at || x"):
        read, column = build_field_reader(path), build_column_reader(path)
        for form in (records, [raw(record) for record in records]):
            assert column(form) == [read(record) for record in form]


def test_pages_of_raw_and_decoded_records_are_read() -> None:
    assert build_column_reader("at")([raw({"at": 1}), {"at": 2}]) == [1, 2]
