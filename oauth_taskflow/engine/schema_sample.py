"""The schema of an endpoint's records, found by pulling some of them; nothing is committed."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace as replace_struct

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.contracts.enforcement import Enforcement
from oauth_taskflow.contracts.options import Contract
from oauth_taskflow.destinations.transfer import TransferSummary
from oauth_taskflow.record_schema.model import RecordSchema
from oauth_taskflow.specs.model import Endpoint


class EnoughRecords(Exception):
    """As many records were observed as were asked for; nothing failed."""


class SampleStage:
    """Observes records as they would be written, and ends the pull after ``rows`` of them.

    ``given`` is the schema to begin with: its dates stay dates where they are.
    """

    def __init__(self, rows: int, given: RecordSchema | None = None) -> None:
        self._enforcement = Enforcement(Contract(), given)
        self._left = rows
        self.count = 0

    @property
    def schema(self) -> RecordSchema:
        """The schema of the records so far."""
        return self._enforcement.schema

    def process(self, records: list[Any], page: Page) -> list[Any]:
        """Observes the records.

        Raises:
            EnoughRecords: no more are wanted.
            InvalidRecord: a record is a single value.
        """
        wanted = records[: self._left]
        closed = [
            each if type(each) is msgspec.Raw else msgspec.Raw(encode(each)) for each in wanted
        ]
        self._enforcement.take(closed, page.url)
        self.count += len(wanted)
        self._left -= len(wanted)
        if self._left <= 0:
            raise EnoughRecords
        return records

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds nothing."""
        return summary


def without_contract(endpoint: Endpoint) -> Endpoint:
    """Returns ``endpoint`` so that records of any schema pass."""
    return replace_struct(endpoint, contract=None, checks=None)
