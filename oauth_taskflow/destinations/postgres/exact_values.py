"""Values for columns whose types would change them: PostgreSQL rounds, cuts, or drops an offset, and raises nothing.

A value is read in a type that keeps all of it (``read_type``). ``fit_value`` then gives it the column's type, and fails
where that is another value. Only digits of a second behind the sixth are cut off, as everywhere in the package.
"""

from __future__ import annotations

import re

# Types for which PostgreSQL changes a value, and the type that keeps all of it. Only digits of a second behind the sixth, which
# are cut off elsewhere, are rounded in an array.
_EXACT = [
    (re.compile(pattern), exact)
    for pattern, exact in (
        (r"timestamp(\(\d\))? with(out)? time zone|date", "text"),
        (r"(timestamp(\(\d\))? with(out)? time zone|date)\[\]", "timestamp with time zone[]"),
        (r"(real|money)(\[\])?|double precision(\[\])", r"numeric\2\3"),
        (r"numeric\([\d,-]+\)(\[\])?", r"numeric\1"),
        (r"time(\(\d\))? with(out)? time zone(\[\])?", r"time with time zone\3"),
        (r"interval( [a-z ]+)?(\(\d\))?(\[\])?", r"interval\3"),
        (r'(name|"char")(\[\])?', r"varchar\2"),
    )
]
# A range is read as a text, because its type drops offsets, times of a day and digits without a word: type -> what a bound may be.
_DAY = r"\d{4,}-\d\d-\d\d"
_MOMENT = _DAY + r"([T ]\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?"
_BOUNDS = {"date": _DAY, "ts": _MOMENT, "tstz": _MOMENT + r"(Z|[+-]\d\d(:?\d\d)?)?"}
_EXACT.append((re.compile(f"({'|'.join(_BOUNDS)})(multi)?range"), "text"))
# The search comes first: a regular expression for each value would be a third of the work.
_CUT = (
    r"(CASE WHEN length(split_part({0}, '.', 2)) > 6 THEN regexp_replace({0}, '(\.\d{{6}})\d+', '\1') "
    "ELSE {0} END)::timestamptz"
)
_INSTANTS = "timestamp with time zone"
# PostgreSQL takes these for the time of the query. Few texts begin with a letter, so that few are searched.
_IS_NOW = r"ascii(ltrim({0})) > 57 AND {0} ~* '^\s*(now|today|tomorrow|yesterday)\M'"


def read_type(column_type: str) -> str:
    """The type in which PostgreSQL reads the value of a record for a column of ``column_type``, and loses nothing."""
    for pattern, exact in _EXACT:
        found = pattern.fullmatch(column_type)
        if found is not None:
            return found.expand(exact)
    return column_type


def fit_value(value: str, column_type: str) -> str:
    """An expression of the column's type for ``value``, an expression of ``read_type``; it fails where they differ."""
    exact = read_type(column_type)
    if exact == column_type:
        return value
    if exact == "text":
        is_range = column_type.endswith("range")
        return (_fit_range if is_range else _fit_instant)(value, column_type)
    kept = f"({value})::{column_type}"
    # A number in binary has its digits in its text: as a number it has six or fifteen of them.
    is_binary = column_type.startswith(("real", "double"))
    back = f"{kept}::text::{exact}" if is_binary else f"{kept}::{exact}"
    return _choose(value, kept, back, column_type)


def _fit_instant(value: str, column_type: str) -> str:
    failing = _fail(value, column_type, "it would be the time of the query")
    return f"CASE WHEN {_IS_NOW.format(value)} THEN {failing} ELSE {_fit_exact(value, column_type)} END"


def _fit_exact(value: str, column_type: str) -> str:
    exact = _CUT.format(value)
    if column_type == _INSTANTS:
        return exact
    if column_type.endswith("with time zone"):
        kept = f"({exact})::{column_type}"
        return _choose(exact, kept, kept, column_type)
    kept = f"(({exact}) AT TIME ZONE 'UTC')::{column_type}"
    back = f"({kept})::timestamp AT TIME ZONE 'UTC'"
    checked = _choose(exact, kept, back, column_type)
    if column_type != "date":
        return checked
    return f"CASE WHEN length({value}) <= 10 THEN ({value})::date ELSE {checked} END"


def _fit_range(value: str, column_type: str) -> str:
    kind = column_type.removesuffix("range").removesuffix("multi")
    bound = f'("?({_BOUNDS[kind]}|-?infinity)"?)?'
    one = rf"(empty|[[(]\s*{bound}\s*,\s*{bound}\s*[])])"
    pattern = one if column_type == f"{kind}range" else rf"\{{\s*({one}(\s*,\s*{one})*)?\s*\}}"
    return (
        f"CASE WHEN {value} ~ '^\\s*{pattern}\\s*$' THEN ({value})::{column_type} "
        f"WHEN {value} IS NOT NULL THEN {_fail(value, column_type)} END"
    )


def _fail(exact: str, column_type: str, why: str = "it would be cut or rounded") -> str:
    # Not a constant, which would be an error before any value is looked at; and no text would fail as a name.
    return f"(left(({exact})::text, 0) || '{why}')::numeric::text::{column_type}"


def _choose(exact: str, kept: str, back: str, column_type: str) -> str:
    failing = _fail(exact, column_type)
    return (
        f"CASE WHEN ({exact}) = ({back}) THEN {kept} WHEN ({exact}) IS NOT NULL THEN {failing} END"
    )
