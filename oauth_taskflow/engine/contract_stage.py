"""The stage of ``contract``: it holds records to a schema before keys, checks and destination see them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.contracts.enforcement import Enforcement
from oauth_taskflow.contracts.inline_schema import read_given_schema
from oauth_taskflow.contracts.last_run import LastRunFinder, find_no_run, name_drift
from oauth_taskflow.contracts.options import read_contract
from oauth_taskflow.destinations.quarantine import Quarantine
from oauth_taskflow.destinations.transfer import KeptRecords, TransferSummary
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.record_schema.json_schema import schema_to_json
from oauth_taskflow.record_schema.model import RecordSchema
from oauth_taskflow.specs.model import Endpoint


def find_declared(endpoint: Endpoint) -> RecordSchema | None:
    """Returns the schema that the contract of an endpoint gives, if it does."""
    if endpoint.contract is None:
        return None
    given = read_contract(endpoint.contract).schema
    return None if given is None else read_given_schema(given)


def build_enforcement(endpoint: Endpoint) -> Enforcement | None:
    """Returns what holds records to the contract of ``endpoint``; None without one."""
    if endpoint.contract is None:
        return None
    return Enforcement(
        read_contract(endpoint.contract),
        find_declared(endpoint),
        list_protected(endpoint),
    )


def list_protected(endpoint: Endpoint) -> list[str]:
    """Returns the fields of key and watermark, as their paths are written."""
    keys = endpoint.primary_key or []
    paths = [keys] if isinstance(keys, str) else list(keys)
    incremental = endpoint.incremental
    if incremental is not None and incremental.field is not None:
        paths.append(incremental.field)
    return paths


class ContractStage:
    """Holds records to a contract; those that change are handed on as ``msgspec.Raw``, like all others."""

    def __init__(
        self,
        enforcement: Enforcement,
        find_last_run: LastRunFinder = find_no_run,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._quarantine = quarantine
        self._enforcement = enforcement
        self._find_last_run = find_last_run

    def process(self, records: list[Any], page: Page) -> list[Any]:
        """Hands on the records that the contract accepts.

        Raises:
            InvalidRecord: a record breaks a frozen contract, or is a single value; too many were rejected.
        """
        closed = [
            each if type(each) is msgspec.Raw else msgspec.Raw(encode(each)) for each in records
        ]
        kept = self._enforcement.take(closed, page.url)
        if self._quarantine is not None:
            for record, reason, path in self._enforcement.rejected:
                self._quarantine.add(record, reason, path, page.url)
        return kept

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds the schema of the records that were written, how it differs from the run before, and what was left out."""
        done = self._enforcement
        drift, unknown = self._find_drift()
        return replace(
            summary,
            schema=schema_to_json(done.schema),
            discarded=dict(done.discarded) or msgspec.UNSET,
            drift=drift or msgspec.UNSET,
            warnings=(*summary.warnings, *done.warnings(), *unknown, *map(_name_change, drift)),
        )

    def _find_drift(self) -> tuple[list[str], list[str]]:
        """Returns what changed since the run before, and a warning where that cannot be known."""
        try:
            last = self._find_last_run()
            schema = None if last is None else last.schema
            return ([] if schema is None else name_drift(schema, self._enforcement.schema)), []
        except OAuthTaskflowError as error:
            return [], [f"contract: whether the schema changed is unknown: {error}"]

    def save(self) -> Any:
        """Returns the schema and the counts."""
        return self._enforcement.save()

    def restore(self, state: Any, kept: KeptRecords) -> None:  # noqa: ARG002 - one protocol for all stages
        """Takes the schema and the counts of the pages before."""
        self._enforcement.restore(state)


def _name_change(text: str) -> str:
    return f"contract: since the run before: {text}."
