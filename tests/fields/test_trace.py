"""The check follows a name as the record does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oauth_taskflow.fields.options import Fields
from oauth_taskflow.fields.trace import find_converter, keeps_name
from tests.fields.reshape import reshape

_OLD, _NEW = "/Date(0)/", "1970-01-01T00:00:00Z"
_NAME_LIST = ["changeDate", "ChangeDate", "change_date", "t", "made_at", "madeAt"]
_NAMES = st.sampled_from(_NAME_LIST)
_PATTERNS = ["*Date*", "*_at", "*At", "*date", "x.*_at", "x.*Date", "x.*"]
_PATHS = st.sampled_from([*_NAME_LIST, *(f"x.{name}" for name in _NAME_LIST), *_PATTERNS])


def _find_only_value(record: Any) -> tuple[tuple[str, ...], Any]:
    """The names that lead to the one value in ``record``, and the value."""
    names: tuple[str, ...] = ()
    while isinstance(record, dict):
        ((name, record),) = record.items()
        names = (*names, name)
    return names, record


@given(
    old=st.lists(_NAMES, min_size=1, max_size=1) | _NAMES.map(lambda name: ["x", name]),
    paths=st.lists(_PATHS, min_size=1, max_size=3, unique=True),
    names=st.sampled_from([None, "snake_case", "lower_case"]),
    flatten=st.sampled_from([None, "_"]),
)
@example(old=["changeDate"], paths=["*Date*"], names="snake_case", flatten=None)
def test_the_path_that_converts_a_field_is_found(
    old: list[str], paths: list[str], names: str | None, flatten: str | None
) -> None:
    record: Any = _OLD
    for name in reversed(old):
        record = {name: record}
    if flatten is not None:
        paths = [path for path in paths if "*" not in path]
    options: dict[str, Any] = {"dates": dict.fromkeys(paths, "dotnet")}
    options |= {"names": names} if names else {}
    options |= {"flatten": flatten} if flatten else {}

    place, value = _find_only_value(reshape(record, **options))
    found = find_converter(paths, msgspec.convert(options, Fields), place)

    if value == _NEW:
        assert found is not None
    elif names is None and flatten is None:
        assert found is None


@pytest.mark.parametrize(
    ("options", "names", "keeps"),
    [
        (Fields(drop=["at"], hash=["id"], cast={"id": "text"}), ("id",), True),
        (Fields(names="snake_case"), ("id",), True),
        (Fields(names="snake_case"), ("contactId",), False),
        (Fields(flatten="_"), ("org", "id"), False),
        (Fields(move={"uid": "id"}), ("id",), False),
        (Fields(move={"id": "uid"}), ("id",), False),
        (Fields(set={"id": "{{ record.a }}"}), ("id",), False),
        (Fields(spread=["attributes"]), ("attributes", "id"), False),
        (Fields(), (), False),
    ],
)
def test_a_name_that_means_the_same_before_and_after_is_known(
    options: Fields, names: tuple[str, ...], *, keeps: bool
) -> None:
    assert keeps_name(options, names) is keeps


@pytest.mark.parametrize("names", ["snake_case", "lower_case", None])
def test_a_pattern_is_found_by_the_name_that_it_gives(names: Any) -> None:
    last = {"snake_case": "change_date", "lower_case": "changedate", None: "changeDate"}[names]
    options = Fields(names=names, dates={"*Date": "any"})
    assert find_converter(["*Date"], options, (last,)) == "*Date"
    assert find_converter(["*Date"], options, ("dated",)) is None
