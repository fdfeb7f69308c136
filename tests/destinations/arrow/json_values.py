"""JSON records for property-based tests, and what their tables must say."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from oauth_taskflow.api.decoders.numbers import ExactFloat, decode
from oauth_taskflow.record_schema.observe import is_exact

NUMBERS = st.one_of(
    st.integers(-5, 5).map(str),
    st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30]).map(str),
    st.sampled_from(["1.5", "-0.25", "1.10", "0.0", "-0", "1e3", "1E+2", "9007199254740993.5"]),
    st.sampled_from(
        ["0.1234567890123456789", "0.10000000000000001", "1e400", "1e-400", "2.5e-310"]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
TEXTS = st.one_of(
    st.text(max_size=4).filter(lambda text: not any("\ud800" <= one <= "\udfff" for one in text)),
    st.sampled_from(
        ["2026-01-01", "2026-01-01T00:00:00Z", "n/a", "\0", "12", "NaN", "1234567890123456.5"]
    ),
)
NAMES = st.sampled_from(["a", "b", "c", "d e", ""])


def write_object(members: list[tuple[str, str]]) -> str:
    """JSON of an object; a name may come twice."""
    written = (f"{msgspec.json.encode(name).decode()}:{value}" for name, value in members)
    return f"{{{','.join(written)}}}"


SCALARS = st.one_of(
    st.sampled_from(["null", "true", "false"]),
    NUMBERS,
    TEXTS.map(lambda text: msgspec.json.encode(text).decode()),
)


def _nest(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
    return st.one_of(lists, _objects(inner))


def _objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(NAMES, inner), max_size=3).map(write_object)


VALUES = st.recursive(SCALARS, _nest, max_leaves=6)
# Fields of one kind are usual, mixed ones are not: both must come.
RECORDS = st.one_of(
    st.lists(_objects(SCALARS), min_size=1, max_size=8),
    st.lists(_objects(VALUES), min_size=1, max_size=6),
    st.sampled_from(["a", "b"]).flatmap(
        lambda name: st.lists(
            NUMBERS.map(lambda number: write_object([(name, number)])), min_size=1, max_size=8
        )
    ),
)


def normalise(value: Any) -> Any:
    """A value as far as tables keep it: numbers by their value, and no difference between null and absent."""
    if isinstance(value, dict):
        return {name: normalise(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [normalise(one) for one in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, ExactFloat) and not is_exact(value.text.encode()):
        return value.decimal
    return Decimal(repr(float(value)) if isinstance(value, float) else value)


def read_plainly(lines: list[str]) -> list[Any]:
    """The records as JSON Lines gives them, normalised."""
    return [normalise(decode(line)) for line in lines]
