"""Fields that records take from their parent record, and the field that may be overwritten."""

from __future__ import annotations

import pytest

from oauth_taskflow.engine.copied_fields import FieldCopier
from oauth_taskflow.errors import InvalidRecord, SpecError
from oauth_taskflow.specs.model import CopiedField, Endpoint, ForEach, ForEachOptions


def copier(**copy: str | CopiedField) -> FieldCopier:
    return FieldCopier(Endpoint(for_each={"ticker": ForEachOptions(values=["A"], copy=copy)}))


def test_a_field_is_overwritten_only_with_replace() -> None:
    active = copier(ticker=CopiedField(path="@", replace=True))
    records = [{"ticker": "a.old", "n": 1}, {"n": 2}]
    assert active.add(records, active.read({"ticker": "A"})) == [
        {"ticker": "A", "n": 1},
        {"ticker": "A", "n": 2},
    ]
    assert records[0] == {"ticker": "a.old", "n": 1}


@pytest.mark.parametrize("field", ["@", CopiedField(path="@")])
def test_without_replace_a_clash_fails_and_names_both_ways_out(field: str | CopiedField) -> None:
    active = copier(ticker=field)
    with pytest.raises(InvalidRecord) as caught:
        active.add([{"ticker": "a.old"}], active.read({"ticker": "A"}))
    assert str(caught.value) == (
        "for_each.copy would overwrite the field 'ticker' of a record. "
        "Choose another name under copy, or write ticker: {path: …, replace: true}."
    )


def test_replace_of_one_field_does_not_allow_another_to_be_overwritten() -> None:
    active = copier(ticker=CopiedField(path="@", replace=True), symbol="@")
    with pytest.raises(InvalidRecord, match="would overwrite the field 'symbol'"):
        active.add([{"symbol": 1}], active.read({"ticker": "A"}))


def test_an_endpoint_without_copies_has_nothing_to_do() -> None:
    assert not copier().is_active
    assert copier(a="@").is_active


def test_two_variables_cannot_copy_a_field_of_one_name() -> None:
    several: dict[str, ForEach] = {
        "contact": ForEachOptions(endpoint="contacts", copy={"x": "id"}),
        "region": ForEachOptions(values=["eu"], copy={"x": CopiedField(path="@", replace=True)}),
    }
    with pytest.raises(SpecError, match=r"for_each\.contact\.copy writes the field 'x', too"):
        FieldCopier(Endpoint(for_each=several))
