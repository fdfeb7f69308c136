"""The stage of ``checks``: it looks at the records that are written, and may refuse the output before it is committed."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from msgspec.structs import replace

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.contracts.checks import CheckRun, Totals
from oauth_taskflow.contracts.last_run import LastRunFinder, find_no_run
from oauth_taskflow.destinations.transfer import KeptRecords, TransferSummary
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.specs.model import Endpoint

_ROWS = 1000


class ChecksStage:
    """Looks at all records. ``is_whole``: they are all of the endpoint's, so that totals are checked as well."""

    def __init__(
        self,
        endpoint: Endpoint,
        find_last_run: LastRunFinder = find_no_run,
        *,
        is_whole: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        assert endpoint.checks is not None
        self._options = endpoint.checks
        self._run = build_check_run(endpoint)
        self._form = watermark_form(endpoint)
        self._find_last_run = find_last_run
        self._is_whole = is_whole
        self._clock = clock

    def process(self, records: list[Any], page: Page) -> list[Any]:  # noqa: ARG002 - one protocol for all stages
        """Hands all records on.

        Raises:
            InvalidRecord: a record is a single value.
        """
        if self._run.looks_at_records:
            self._run.look([_close(record) for record in records])
        return records

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds warnings.

        Raises:
            InvalidRecord: a check fails; nothing is committed.
        """
        before = needs_last_run(self._options) and self._is_whole and self._find_last_run()
        totals = Totals(
            rows=summary.rows,
            before=before.rows if before else None,
            latest=summary.watermark,
            now=self._clock.now(),
            form=self._form,
        )
        failures, warnings = self._run.describe(totals, whole=self._is_whole)
        require_none(failures)
        texts = tuple(f"checks.warn.{text}." for text in warnings)
        return replace(summary, warnings=(*summary.warnings, *texts))

    def save(self) -> Any:
        """Returns the counts; values that must not repeat are in the records."""
        return self._run.save()

    def restore(self, state: Any, kept: KeptRecords) -> None:
        """Takes the counts, and the values of the records that were kept.

        Raises:
            ValueError: the destination gives the values back so changed that repeats of them would not be found.
        """
        self._run.restore(state)
        records = kept.read(0, kept.rows) if self._run.needs_all and kept.rows else iter(())
        while batch := [_close(record) for record in itertools.islice(records, _ROWS)]:
            self._run.look(batch, again=True)
        if self._run.save() != state:
            raise ValueError("Values of records that were kept are others when they are read again")


def needs_last_run(options: Any) -> bool:
    """Whether a check compares with the run before."""
    return any(each is not None and each.max_change is not None for each in (options, options.warn))


def build_check_run(endpoint: Endpoint) -> CheckRun:
    """Returns the checks of an endpoint that has some."""
    assert endpoint.checks is not None
    return CheckRun(endpoint.checks)


def watermark_form(endpoint: Endpoint) -> Any:
    """Returns the form in which the API writes the incremental field."""
    incremental = endpoint.incremental
    form = incremental.field_format if incremental is not None else None
    if form is None:
        return "any"
    return form if isinstance(form, str) else tuple(form)


def require_none(failures: list[str]) -> None:
    """Raises for checks that fail.

    Raises:
        InvalidRecord: there is one.
    """
    if failures:
        raise InvalidRecord(
            f"The checks refuse the output: {'; '.join(failures)}",
            hint="Nothing was committed. Correct the data at its source, or checks in the spec; checks.warn only warns.",
        )


def _close(record: Any) -> Any:
    return record if type(record) is msgspec.Raw else msgspec.Raw(encode(record))
