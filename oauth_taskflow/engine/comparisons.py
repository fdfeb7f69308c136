"""Compares all task instances of a mapped endpoint together with the run before: checks of totals, and drift."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.contracts.checks import Totals, describe_totals
from oauth_taskflow.contracts.last_run import LastRun, LastRunFinder, name_drift
from oauth_taskflow.engine.checks_stage import needs_last_run, require_none, watermark_form
from oauth_taskflow.engine.summary import EndpointTotal
from oauth_taskflow.record_schema.json_schema import schema_from_json
from oauth_taskflow.specs.model import Endpoint


def compare_total(
    total: EndpointTotal,
    endpoint: Endpoint,
    find_last_run: LastRunFinder,
    clock: Clock = SYSTEM_CLOCK,
) -> EndpointTotal:
    """Returns ``total`` with drift and the warnings of checks.

    Raises:
        InvalidRecord: a check of the totals fails.
        OAuthTaskflowError: as ``find_last_run``.
    """
    checks = endpoint.checks
    last: LastRun | None = None
    if endpoint.contract is not None or (checks is not None and needs_last_run(checks)):
        last = find_last_run()
    warnings = list(total.warnings)
    if checks is not None:
        before = None if last is None else last.rows
        form = watermark_form(endpoint)
        totals = Totals(total.rows, before, total.watermark, clock.now(), form)
        require_none(describe_totals(checks, totals))
        if checks.warn is not None:
            warnings += [f"checks.warn.{text}." for text in describe_totals(checks.warn, totals)]
    drift: list[str] = []
    if last is not None and last.schema and total.schema is not UNSET:
        drift = name_drift(last.schema, schema_from_json(total.schema))
    warnings += [f"contract: since the run before: {text}." for text in drift]
    return replace(total, warnings=warnings, drift=drift or UNSET)
