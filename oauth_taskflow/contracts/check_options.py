"""The ``checks`` options of an endpoint: what must be true of a run's records before they are committed."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from oauth_taskflow.schema.types import Count, Duration, Options, doc

FieldName = Annotated[
    str, doc("Name of a field, with dots to one inside.", "address.zip", min_length=1)
]


Share = Annotated[float, Meta(gt=0)]


class CheckSet(Options, frozen=True, kw_only=True):
    """Checks of the records of one run."""

    min_rows: Annotated[Count | None, doc("At least so many records.", 1)] = None
    max_change: Annotated[
        Share | None,
        doc("Number of records against the run before: 0.2 is 20 % more or fewer.", 0.2),
    ] = None
    not_null: Annotated[list[FieldName], doc("Fields with a value in each record.", ["email"])] = []
    unique: Annotated[
        list[FieldName | list[FieldName]],
        doc("Fields whose values never repeat; a list counts together.", ["email", ["org", "id"]]),
    ] = []
    accepted_values: Annotated[
        dict[FieldName, list[str | int | float | bool]],
        doc("Field to all values that it may have; null is none.", {"status": ["open", "closed"]}),
    ] = {}
    freshness: Annotated[
        Duration | None,
        doc("The latest incremental.field is at most this old when the run ends.", "P1D"),
    ] = None


class Checks(CheckSet, frozen=True, kw_only=True):
    """Checks that fail the run before anything is committed; those under ``warn`` only warn."""

    warn: Annotated[CheckSet | None, doc("Checks that warn.", {"max_change": 0.5})] = None
