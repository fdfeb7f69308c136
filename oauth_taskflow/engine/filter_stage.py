"""The stage of ``where``: it leaves out records before anything else sees them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from msgspec.structs import replace

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.transfer import KeptRecords, TransferSummary
from oauth_taskflow.fields.expressions import RecordExpression


class FilterStage:
    """Keeps the records for which a JMESPath over record and parents is true.

    ``variables`` are the names of ``for_each``, which the expression may use as well as the record's fields.

    Raises:
        RecordsNotFound: ``where`` is not a JMESPath expression.
    """

    def __init__(self, where: str, variables: Collection[str]) -> None:
        self._where = RecordExpression(where, variables)
        self._read = self._left_out = 0

    def begin_sequence(self, parent: int, names: Mapping[str, Any]) -> None:  # noqa: ARG002 - one protocol
        """Takes the records of ``for_each`` for the pages that follow."""
        self._where.give(names)

    def process(self, records: list[Any], page: Page) -> list[Any]:  # noqa: ARG002 - one protocol for all stages
        """Hands the accepted records on.

        Raises:
            InvalidRecord: the expression does not fit a record.
        """
        kept = [record for record in records if self._where.accepts(record)]
        self._read += len(records)
        self._left_out += len(records) - len(kept)
        return kept

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds the number of records left out, and a warning where that were all."""
        warnings = summary.warnings
        if self._left_out == self._read > 0:
            text = (
                f"where left out all {self._read:,} records. If that is wrong, correct it: a field that no record has, "
                "or a number compared with a text, is true for none."
            )
            warnings = (*warnings, text)
        return replace(summary, filtered=self._left_out, warnings=warnings)

    def save(self) -> Any:
        """Returns the counts."""
        return [self._read, self._left_out]

    def restore(self, state: Any, kept: KeptRecords) -> None:  # noqa: ARG002 - one protocol for all stages
        """Takes the counts of the pages before."""
        self._read, self._left_out = state
