"""The stage of ``fields``: it reshapes each record before watermark, keys and destination see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, TypeGuard

from msgspec.structs import replace

from oauth_taskflow.api.pull.marks import ResumableCheck
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.destinations.quarantine import Quarantine
from oauth_taskflow.destinations.transfer import KeptRecords, TransferSummary
from oauth_taskflow.errors import InvalidRecord, SpecError, TemplateFailed
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.fields.pipeline import Pipeline, Tools
from oauth_taskflow.templates.references import parse_template
from oauth_taskflow.templates.render import render_value

# ``record`` without an attribute, as in ``record | tojson`` or ``record[name]``.
_WHOLE_RECORD = re.compile(r"\brecord\b(?!\s*\.\s*[A-Za-z_])")
_METHODS = frozenset(name for name in dir(dict) if not name.startswith("_"))


class Now(datetime):
    """The instant at which a task began, written as RFC 3339; every method of ``datetime`` works on it."""

    def __str__(self) -> str:
        return self.isoformat(timespec="seconds").replace("+00:00", "Z")


def build_pipeline(options: Fields, hash_key: str | None) -> Pipeline:
    """Returns the steps of ``options``.

    Raises:
        SpecError: fields are to be hashed, and the deployment has no key for that.
    """
    if options.hashed and not hash_key:
        raise SpecError(
            [
                "fields.hash needs a key, and this deployment has none. Set [oauth_taskflow] hash_key "
                "(AIRFLOW__OAUTH_TASKFLOW__HASH_KEY) to the same secret text of at least 16 characters on every "
                "machine that runs tasks; it must stay the same, since another key gives other hashes."
            ]
        )
    return Pipeline(options, Tools(render_value, find_record_use, hash_key or ""))


class FieldsStage:
    """Reshapes records as ``options`` say.

    ``context`` holds the template names of the run, and ``now``, one instant for all records of the task.

    Raises:
        SpecError: as ``build_pipeline``.
    """

    def __init__(
        self,
        options: Fields,
        context: Mapping[str, Any],
        hash_key: str | None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._quarantine = quarantine if options.on_error == "quarantine" else None
        self._rejected = 0
        self._context = add_now(context)
        self._names: Mapping[str, Any] | None = None
        self._pipeline = build_pipeline(options, hash_key)

    def begin_sequence(self, parent: int, names: Mapping[str, Any]) -> None:  # noqa: ARG002 - one protocol
        """Takes window and parents for the templates of the pages that follow."""
        self._names = names
        self._pipeline.begin({**self._context, **names})

    def process(self, records: list[Any], page: Page) -> list[Any]:
        """Hands the reshaped records on, as ``msgspec.Raw``.

        Raises:
            InvalidRecord: a field would be overwritten, or cannot be read as the options say; too many were rejected.
            TemplateFailed: a template of ``set`` names something undefined or gives null.
        """
        reshaped: list[Any] = []
        number = 0
        try:
            for record in records:
                number += 1
                if self._quarantine is None:
                    reshaped.append(self._pipeline.reshape(record))
                else:
                    reshaped += self._reshape_or_reject(record, self._quarantine, page.url)
        except (InvalidRecord, TemplateFailed) as error:
            error.where = error.where or f"in record {number} of the page at {page.url}"
            raise
        return reshaped

    def _reshape_or_reject(self, record: Any, quarantine: Quarantine, url: str) -> list[Any]:
        try:
            return [self._pipeline.reshape(record)]
        except InvalidRecord as error:
            self._rejected += 1
            quarantine.add(record, error.what, error.path, url)
            return []

    def finish(self, summary: TransferSummary) -> TransferSummary:
        """Adds how many values could not be converted, and how many records were rejected."""
        rejected = (
            [
                f"fields: {self._rejected:,} records went to quarantine, since they cannot be reshaped."
            ]
            if self._rejected
            else []
        )
        return replace(summary, warnings=(*summary.warnings, *self._pipeline.warnings(), *rejected))

    def save(self) -> Any:
        """Returns ``now`` in seconds since the epoch, and the counts of the warnings."""
        return [self._context["now"].timestamp(), self._pipeline.save(), self._rejected]

    def restore(self, state: Any, kept: KeptRecords) -> None:  # noqa: ARG002 - one protocol for all stages
        """Takes the ``now`` of the first attempt, so that it is one instant for all records, and the counts."""
        now, counts, self._rejected = state
        self._context = {**self._context, "now": Now.fromtimestamp(now, timezone.utc)}
        self._pipeline.restore(counts)
        if self._names is not None:  # a sequence has begun
            self._pipeline.begin({**self._context, **self._names})


RowCheck = Callable[[list[Any]], bool]


def check_reshaped(
    check: RowCheck | None, options: Fields | None, context: Mapping[str, Any], hash_key: str | None
) -> RowCheck | None:
    """Returns ``check`` of a page's rows for rows as the API returned them: it sees the names and values after ``options``.

    A row that cannot be reshaped gives false, because the stage that follows fails with it; one that goes to quarantine is not a row.
    """
    if check is None or not is_used(options):
        return check
    pipeline = build_pipeline(options, hash_key)
    pipeline.begin(add_now(context))
    return _ReshapedCheck(check, pipeline, skips=options.on_error == "quarantine")


class _ReshapedCheck:
    """Asks ``check`` about the reshaped rows; its state is that of ``check``."""

    def __init__(self, check: RowCheck, pipeline: Pipeline, *, skips: bool) -> None:
        self._check, self._pipeline, self._skips = check, pipeline, skips

    def __call__(self, rows: list[Any]) -> bool:
        try:
            reshaped = [each for row in rows for each in self._reshape(row)]
        except (InvalidRecord, TemplateFailed):
            return False
        return self._check(reshaped) if reshaped or not rows else False

    def _reshape(self, row: Any) -> list[Any]:
        try:
            return [self._pipeline.reshape(row)]
        except InvalidRecord:
            if self._skips:
                return []
            raise

    def save(self) -> Any:
        check: object = self._check
        return check.save() if isinstance(check, ResumableCheck) else None

    def restore(self, state: Any) -> None:
        check: object = self._check
        if isinstance(check, ResumableCheck):
            check.restore(state)


def is_used(options: Fields | None) -> TypeGuard[Fields]:
    """Whether ``options`` have a step."""
    return options is not None and replace(options, on_error="fail") != Fields()


def add_now(context: Mapping[str, Any]) -> dict[str, Any]:
    """Returns ``context`` with the present instant as ``now``."""
    return {**context, "now": Now.now(timezone.utc)}


def find_record_use(template: str) -> frozenset[str] | None:
    """Returns the fields of ``record`` that a template uses; None when it may use all of them."""
    taken = {
        attribute for name, attribute in parse_template(template).references if name == "record"
    }
    if taken and (_WHOLE_RECORD.search(template) or taken & _METHODS):
        return None
    return frozenset(taken - {""})
