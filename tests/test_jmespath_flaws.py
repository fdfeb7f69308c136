"""Parts of a JMESPath that fail for every value."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from oauth_taskflow.jmespath_flaws import find_path_flaw

# A value that an argument of each kind may be.
FITTING = {
    "array": "`[]`",
    "array-number": "`[1]`",
    "array-string": '`["a"]`',
    "expref": "&id",
    "number": "`1`",
    "object": "`{}`",
    "string": "'a'",
}


def reason(path: str) -> str:
    flaw = find_path_flaw(jmespath.compile(path).parsed)
    return "" if flaw is None else flaw.reason


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("lower(name) == 'x'", "there is no function lower()"),
        ("items[?size(tags) > `1`].{id: id}", "there is no function size()"),
        ("a || b && !c[0].d.e.nosuch(@)", "there is no function nosuch()"),
        ("length()", "length() takes 1 argument, not 0"),
        ("contains(name)", "contains() takes 2 arguments, not 1"),
        ("starts_with(a, b, c)", "starts_with() takes 2 arguments, not 3"),
        ("not_null()", "not_null() takes at least 1 argument, not 0"),
        ("map(items, &id)", "argument 1 of map() needs &"),
        ("map(&id, &items)", "argument 2 of map() has &, but takes a value"),
        ("sort_by(items, id)", "argument 2 of sort_by() needs &"),
        ("items | min_by(@, 'id')", "argument 2 of min_by() needs &"),
        ("sort(&id)", "argument 1 of sort() has &, but takes a value"),
        ("to_string(&id)", "argument 1 of to_string() has &, but takes a value"),
        ("max_by(items, &lower(id))", "there is no function lower()"),
        ("length(`5`) == `1`", "argument 1 of length() is number, not string or array or object"),
        ("sort(`5`)", "argument 1 of sort() is number, not array"),
        ("ends_with(name, `true`)", "argument 2 of ends_with() is boolean, not string"),
        ("merge(a, `null`)", "argument 2 of merge() is null, not object"),
        ("items[::0]", "the step of a slice is 0"),
        ("&id", "& is not before an argument of a function"),
    ],
)
def test_a_path_that_fails_for_every_value_is_named(path: str, expected: str) -> None:
    assert reason(path) == expected


@pytest.mark.parametrize("name", Functions.FUNCTION_TABLE)
def test_every_function_passes_with_arguments_that_fit(name: str) -> None:
    signature: Any = Functions.FUNCTION_TABLE[name]["signature"]
    constants = [FITTING[each["types"][0]] if each["types"] else "`1`" for each in signature]
    paths = [constant if constant == "&id" else "a.b" for constant in constants]
    for arguments in (constants, paths):
        assert reason(f"{name}({', '.join(arguments)})") == ""
    jmespath.search(f"{name}({', '.join(constants)})", {})


@pytest.mark.parametrize(
    "path",
    [
        "items[::2]",
        "items[1:]",
        "not_null(a, b, c)",
        "contains(`[1]`, a)",
        "contains('abc', a)",
        "join(', ', tags[].name)",
        "sort_by(items[?a], &to_number(n))[-1].{a: a, b: [b, c]}",
        "length(items || `[]`) > `0`",
        "@",
        "*.a[]",
    ],
)
def test_a_path_that_may_succeed_passes(path: str) -> None:
    assert reason(path) == ""


@pytest.mark.parametrize("path", ["sort(`5`)", "length()", "lower(a)", "map(items, &id)"])
def test_jmespath_fails_where_a_flaw_is_found(path: str) -> None:
    assert reason(path) != ""
    for value in ({}, {"items": [], "a": "x"}):
        with pytest.raises(JMESPathError):
            jmespath.search(path, value)


def test_the_hint_names_the_function_that_was_meant() -> None:
    flaw = find_path_flaw(jmespath.compile("start_with(a, 'b')").parsed)
    assert flaw is not None
    assert flaw.hint.startswith("Did you mean 'starts_with'?")
