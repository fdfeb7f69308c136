"""The ``cap`` option: how many rows an API shows of one request, and how the others are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from oauth_taskflow.schema.types import Count, JmesPath, Options, Text, doc

Place = Literal["query", "body", "header"]


class RowCap(Options, frozen=True, kw_only=True):
    """The most rows that the API shows of one request, and how the others are read."""

    rows: Annotated[Count, doc("The most rows that the API shows of one request.", 10000)]
    then: Annotated[
        Literal["narrow", "from_last_record"],
        doc(
            "narrow: halve the incremental window until each half is below the cap. from_last_record: ask again from the "
            "value of the last record on; the API must sort by it.",
            "narrow",
        ),
    ]
    field: Annotated[
        JmesPath | None,
        doc(
            "from_last_record: path of the value in a record, as the API sends it. Without param it moves window.start, or "
            "window.end where the order is descending; without both, incremental.field does.",
            "id",
        ),
    ] = None
    param: Annotated[
        Text | None,
        doc("from_last_record: parameter that carries the value of field.", "min_id"),
    ] = None
    send_in: Annotated[Place, doc("from_last_record: where that parameter travels.", "body")] = (
        "query"
    )

    order: Annotated[
        Literal["ascending", "descending"],
        doc("from_last_record: the order of the records by that value.", "descending"),
    ] = "ascending"

    def flaws(self, size: int | None) -> Iterator[tuple[bool, str, str, str]]:
        """Yields mistakes: whether something is missing, the option, the message, the hint."""
        if self.then == "narrow" and self.order == "descending":
            message = "narrow reads the records in any order"
            yield False, "order", message, "Remove order, or write then: from_last_record."
        if self.then == "narrow" and (self.field or self.param):
            message = "narrow moves the window, and uses neither field nor param"
            yield (
                False,
                "field" if self.field else "param",
                message,
                "Write then: from_last_record.",
            )
        if self.then == "from_last_record" and self.param and not self.field:
            yield (
                True,
                "param",
                "nothing says which value the parameter carries",
                "Write field: id.",
            )
        if size is not None and 2 * size > self.rows:
            message = f"a page of {size} rows leaves no room for a second one below the cap of {self.rows}"
            yield (
                False,
                "rows",
                message,
                "Correct rows, or write a smaller size: half the cap at most.",
            )
