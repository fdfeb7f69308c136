"""Rules about the DAG: when it runs, what it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone, tzinfo
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from oauth_taskflow.iso8601 import parse_instant
from oauth_taskflow.specs.files import precedence
from oauth_taskflow.specs.model import AssetSchedule
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import Findings, SpecView, files_rule, spec_rule
from oauth_taskflow.suggestions import suggest_allowed

PRESETS = frozenset(
    {
        "@once",
        "@hourly",
        "@daily",
        "@weekly",
        "@monthly",
        "@quarterly",
        "@yearly",
        "@continuous",
    }
)
DURATION_LIKE = re.compile(r"P(\d|T\d)")
_STEP = r"(\*(/\d{1,2})?|\d{1,2})"
_SIMPLE_CRON = re.compile(rf"{_STEP} {_STEP} \* \* (\*|[0-6])\Z", re.ASCII)
_MAX_URI = 1500
_MAX_ZONE = 100
# Any fixed instant will do: what comes within fifty years comes at all.
_ANY_TIME = datetime(2024, 1, 1, tzinfo=timezone.utc)
# Airflow and databases add and subtract time on both sides, and have room for years from 1 to 9999.
_YEARS = 1900, 2900


@spec_rule("bad-cron")
def bad_cron(view: SpecView) -> Findings:
    """The schedule is a cron expression with five fields, a preset, an ISO 8601 duration, assets or null.

    It names a day that comes: the 31st of February never does, and Airflow could not plan the DAG.

    Bad: `schedule: "61 * * * *"`, `schedule: "0 0 31 2 *"`, `schedule: "@hourli"`

    Good: `schedule: "15 6 * * 1-5"`, `schedule: "@hourly"`, `schedule: PT15M`
    """
    schedule = view.source.schedule
    if not isinstance(schedule, str) or schedule in PRESETS or DURATION_LIKE.match(schedule):
        return
    if schedule.startswith("@"):
        message = f"{schedule!r} is not a preset"
        yield Finding(("schedule",), message, suggest_allowed(schedule, PRESETS))
    elif reason := _cron_error(schedule):
        hint = "Write minute, hour, day, month and weekday: 15 6 * * 1-5."
        yield Finding(("schedule",), f"{schedule!r} is not a cron expression: {reason}", hint)


@lru_cache(maxsize=1024)
def _cron_error(expression: str) -> str:
    simple = _SIMPLE_CRON.match(expression)
    if simple is not None and _in_range(simple[1], 60) and _in_range(simple[3], 24):
        return ""
    from croniter import CroniterBadDateError, croniter  # noqa: PLC0415  # everyday expressions need no parser

    if len(expression.split()) != 5:
        return "five fields are needed"
    try:
        # Airflow asks for the next run as soon as it has parsed the file: some expressions fail only there.
        croniter(expression, _ANY_TIME).get_next(datetime)
    except CroniterBadDateError:
        return "no such day ever comes"
    except Exception as error:  # noqa: BLE001 - the parser raises whatever comes up; the DAG's file would not load
        return str(error) or type(error).__name__
    return ""


def _in_range(part: str, limit: int) -> bool:
    number = part.removeprefix("*").removeprefix("/")
    return not number or (int(number) < limit and (part[0] != "*" or int(number) > 0))


@spec_rule("bad-date")
def dag_dates(view: SpecView) -> Findings:
    """A date that does not exist, or not in ISO 8601 form.

    Bad: `start_date: 2026-02-30`

    Good: `start_date: 2026-02-28`, `start: 2026-02-28T06:00:00Z`
    """
    for key in ("start_date", "end_date"):
        text: str | None = getattr(view.source, key)
        if text is not None and parse_instant(text) is None:
            hint = "Write it as 2026-01-31 or 2026-01-31T06:00:00Z."
            yield Finding((key,), f"{text!r} is not a date", hint)
        elif text is not None and not _YEARS[0] <= int(text[:4]) <= _YEARS[1]:
            message = f"the year {text[:4]} is not between {_YEARS[0]} and {_YEARS[1]}"
            yield Finding((key,), message, "Airflow reckons with dates before and after it.")


@spec_rule("start-after-end")
def start_after_end(view: SpecView) -> Findings:
    """A DAG whose end is before its start never runs.

    Bad: `start_date: 2026-06-01` with `end_date: 2026-01-01`

    Good: `start_date: 2026-01-01` with `end_date: 2026-06-01`
    """
    zone = zone_of(view.source.timezone) or timezone.utc
    start = parse_instant(view.source.start_date or "", zone)
    end = parse_instant(view.source.end_date or "", zone)
    if start is not None and end is not None and end < start:
        yield Finding(("end_date",), "end_date is before start_date", "Exchange them.")


@spec_rule("schedule-without-start")
def schedule_without_start(view: SpecView) -> Findings:
    """A schedule needs a start_date to catch up from: Airflow refuses catchup: true without it.

    Bad: `schedule: "@daily"` with `catchup: true`

    Good: the same with `start_date: 2026-01-01`
    """
    source = view.source
    scheduled = isinstance(source.schedule, str)
    if source.catchup and scheduled and source.start_date is None:
        yield Finding(("catchup",), "catchup has no start_date to begin at", "Write start_date.")


@spec_rule("unknown-timezone")
def unknown_timezone(view: SpecView) -> Findings:
    """Zones are named as in the IANA database.

    Bad: `timezone: Europe/Berln`, `timezone: CEST`

    Good: `timezone: Europe/Berlin`
    """
    name = view.source.timezone
    if zone_of(name) is None:
        from zoneinfo import available_timezones  # noqa: PLC0415  # reads hundreds of files

        yield Finding(
            ("timezone",),
            f"there is no zone {name!r}",
            suggest_allowed(name, available_timezones()),
        )


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo | None:
    """Return the zone that IANA's database has under ``name``, or None."""
    if name == "UTC":
        return timezone.utc
    if len(name) > _MAX_ZONE:
        return None
    from zoneinfo import ZoneInfo  # noqa: PLC0415  # most specs are in UTC

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return None


@spec_rule("bad-asset-uri")
def bad_asset_uri(view: SpecView) -> Findings:
    """An asset is a name or a URI that Airflow accepts: printable ASCII, at most 1500 characters, not airflow:.

    Bad: `schedule: {assets: ["airflow://x"]}`, `schedule: {assets: ["s3:/lake"]}`

    Good: `schedule: {assets: ["s3://lake/raw/contacts"]}`
    """
    if not isinstance(view.source.schedule, AssetSchedule):
        return
    for index, uri in enumerate(view.source.schedule.assets):
        reason = _uri_error(uri)
        if reason:
            yield Finding(("schedule", "assets", index), reason, "Write s3://bucket/key or a name.")


def _uri_error(uri: str) -> str:
    if not uri.isascii() or not uri.isprintable() or uri.strip() != uri or len(uri) > _MAX_URI:
        return "an asset is printable ASCII without blanks around it, at most 1500 characters"
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        return f"not a URI: {error}"
    if parts.scheme.lower() == "airflow":
        return "the scheme airflow is reserved"
    if parts.password:
        return "a URI must not contain a password"
    if "://" not in uri and re.match(r"[a-z0-9+.-]+:/", uri):
        return "after the scheme come two slashes"
    return ""


@files_rule("duplicate-dag-id")
def duplicate_dag_id(views: Sequence[SpecView]) -> Iterator[tuple[SpecView, Finding]]:
    """Two files with one dag_id: only one of them can run.

    It is the one named like the dag_id, else the one nearest to the top; the others are refused.

    Bad: `dag_id: crm` in crm.yaml and in crm_copy.yaml

    Good: one dag_id per file
    """
    views_of: dict[str, list[SpecView]] = {}
    for view in views:
        views_of.setdefault(view.source.dag_id, []).append(view)
    for dag_id, alike in views_of.items():
        if len(alike) == 1:
            continue
        kept, *others = sorted(alike, key=lambda view: precedence(Path(view.spec.path), dag_id))
        for view in others:
            message = f"the dag_id {dag_id!r} is already used in {kept.spec.path}"
            yield view, Finding(("dag_id",), message, "Choose another dag_id.")
