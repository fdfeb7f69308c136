"""Members of undecoded records: which a path leads to, and what it says of each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oauth_taskflow.fields.members import ABSENT, has_member, read_scalar, take_member


def members() -> dict[str, Any]:
    return {"a": msgspec.Raw(b'{"b":{"c":null},"d":[1]}'), "e": msgspec.Raw(b"5")}


@pytest.mark.parametrize(
    ("names", "is_there"),
    [
        (("a", "b", "c"), True),
        (("a", "b", "x"), False),
        (("a", "d", "0"), False),
        (("e", "x"), False),
        (("x", "y"), False),
        (("e",), True),
    ],
)
def test_a_path_leads_through_mappings_alone(names: tuple[str, ...], is_there: bool) -> None:
    assert has_member(members(), names) is is_there
    assert (take_member(members(), names) is not ABSENT) is is_there


def test_a_member_is_taken_away() -> None:
    found = members()
    assert bytes(take_member(found, ("a", "d"))) == b"[1]"
    assert not has_member(found, ("a", "d"))


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (msgspec.Raw(b"1.50"), "number", "1.50"),
        (1.5, "number", "1.5"),
        (None, "null", ""),
        (True, "boolean", "true"),
        ("x", "text", "x"),
        ([1], "list", ""),
        ({}, "mapping", ""),
    ],
)
def test_a_value_that_a_step_set_is_read_as_one_of_the_api(
    value: Any, kind: str, text: str
) -> None:
    found = read_scalar(value)
    assert found[0] == kind
    assert kind in {"null", "boolean"} or found[1] == text
