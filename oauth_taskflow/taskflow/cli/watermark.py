"""``airflow oauth watermark show``, ``set`` and ``reset``: inspect and correct where the next runs begin to read."""

from __future__ import annotations

import getpass
import json
import logging
import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime, timezone

from oauth_taskflow.dates import UnreadableDate
from oauth_taskflow.errors import InvalidRecord, OAuthTaskflowError
from oauth_taskflow.taskflow.cli.output import WRONG_ARGUMENTS, Row, exit_with, print_rows, say
from oauth_taskflow.taskflow.dags.stored_watermarks import open_watermark_store
from oauth_taskflow.watermarks.partitions import EndpointId, write_partition
from oauth_taskflow.watermarks.state import (
    NOTHING,
    Value,
    WatermarkState,
    compare,
    find_lowest,
    to_stored,
)
from oauth_taskflow.watermarks.store import StoredWatermark, WatermarkStore

_log = logging.getLogger(__name__)
_NUMBER = re.compile(r"-?[0-9]{1,4000}")  # int() refuses more


def show(args: Namespace) -> None:
    """Show the stored watermarks: one row per endpoint, or per partition with ``--partitions``."""
    try:
        rows = open_watermark_store().list_watermarks(args.dag_id, args.endpoint)
    except OAuthTaskflowError as error:
        exit_with(str(error))
    known = [row for row in rows if row.partition or not row.state.is_empty]
    if args.dag_id is not None and not known:
        exit_with(f"No watermark of DAG {args.dag_id!r} is stored.")
    if args.partitions:
        print_rows([_describe(row) for row in known], args.output)
        return
    identities = list(dict.fromkeys(row.identity for row in known))
    groups = [[row for row in known if row.identity == identity] for identity in identities]
    print_rows([_sum_up(group) for group in groups], args.output)


def replace(args: Namespace) -> None:
    """Set the watermark or cursor of an endpoint or partition, backwards too."""
    try:
        store = open_watermark_store()
        identity, partition, before = _find(store, args)
        if (args.value is None) == (args.cursor is None):
            exit_with("Give a value, or --cursor TEXT.", WRONG_ARGUMENTS)
        if args.cursor is not None:
            after = WatermarkState(before.value, args.cursor, before.at_value)
        else:
            after = WatermarkState(_read_value(args.value, before.value), before.cursor)
        back = _is_back(before, after)
        _confirm(
            f"Set the watermark of {_name(identity, partition)} from {_describe_state(before)} to {_describe_state(after)}"
            + (" (backwards: records are read again)" if back else ""),
            yes=args.yes,
        )
        store.replace(identity, partition, after)
    except OAuthTaskflowError as error:
        exit_with(str(error))
    _audit("set", identity, partition, before, after)
    _print_after(store, identity, partition, args.output)


def reset(args: Namespace) -> None:
    """Drop the watermark of one partition, or of the endpoint with all its partitions."""
    try:
        store = open_watermark_store()
        identity, partition, before = _find(store, args)
        whole = args.partition is None
        what = f"{identity}, all partitions included" if whole else _name(identity, partition)
        _confirm(f"Drop the watermark of {what}; the next run reads from the start", yes=args.yes)
        dropped = store.reset(identity) if whole else 1
        if not whole:
            store.replace(identity, partition, None)
    except OAuthTaskflowError as error:
        exit_with(str(error))
    _audit("reset", identity, partition, before, NOTHING)
    row: Row = {
        "dag_id": identity.dag_id,
        "endpoint": identity.endpoint,
        "conn_id": identity.conn_id,
    }
    print_rows([{**row, "partitions": dropped, "watermark": None}], args.output)


def _find(store: WatermarkStore, args: Namespace) -> tuple[EndpointId, str, WatermarkState]:
    """The endpoint and partition that the arguments name, and the state stored for it."""
    rows = store.list_watermarks(args.dag_id, args.endpoint)
    known = list(dict.fromkeys(row.identity.conn_id for row in rows))
    if args.conn_id is None and len(known) != 1:
        found = (
            f"It has watermarks on: {', '.join(known)}."
            if known
            else "No run of it stored one yet."
        )
        exit_with(
            f"Name the connection of {args.dag_id}/{args.endpoint}: --conn-id ID. {found}",
            WRONG_ARGUMENTS,
        )
    identity = EndpointId(args.dag_id, args.endpoint, args.conn_id or known[0])
    partition = _read_partition(args.partition)
    states = [row.state for row in rows if row.identity == identity and row.partition == partition]
    return identity, partition, states[0] if states else NOTHING


def _read_partition(text: str | None) -> str:
    if text is None:
        return ""
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict) or not values:
        exit_with(
            f"--partition takes JSON as in the list of --partitions, not {text!r}.", WRONG_ARGUMENTS
        )
    return write_partition(values)


def _read_value(text: str, stored: Value | None) -> Value:
    """The value that ``text`` names, of the kind that is stored."""
    is_number = _NUMBER.fullmatch(text) is not None
    if isinstance(stored, int | float) or (stored is None and is_number):
        if not is_number:
            exit_with(f"The watermark is a number, and {text!r} is not one.", WRONG_ARGUMENTS)
        return int(text)
    try:
        value = to_stored(text)
    except UnreadableDate:
        value = None
    if value is None:
        exit_with(
            f"{text!r} is not a watermark: write an ISO 8601 time such as 2026-01-31T06:00:00Z, or a whole number.",
            WRONG_ARGUMENTS,
        )
    if stored is not None:
        compare(value, stored)  # raises for another kind
    return value


def _is_back(before: WatermarkState, after: WatermarkState) -> bool:
    if before.value is None or after.value is None:
        return False
    return compare(after.value, before.value) < 0


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        exit_with(f"{question}? There is no terminal to ask at: add --yes.", WRONG_ARGUMENTS)
    say(f"{question}? [y/N]")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        exit_with("Nothing was changed.")


def _audit(
    action: str,
    identity: EndpointId,
    partition: str,
    before: WatermarkState,
    after: WatermarkState,
) -> None:
    _log.warning(
        "Watermark %s by %s: %s, from %s to %s",
        *(
            action,
            _user(),
            _name(identity, partition),
            _describe_state(before),
            _describe_state(after),
        ),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a user database
        return "an unknown user"


def _name(identity: EndpointId, partition: str) -> str:
    return f"{identity}, partition {partition}" if partition else str(identity)


def _describe_state(state: WatermarkState) -> str:
    parts = [] if state.value is None else [str(state.value)]
    parts += [] if state.cursor is None else [f"cursor {state.cursor:.40}"]
    return " and ".join(parts) or "nothing"


def _print_after(store: WatermarkStore, identity: EndpointId, partition: str, output: str) -> None:
    rows = store.list_watermarks(identity.dag_id, identity.endpoint)
    print_rows(
        [_describe(row) for row in rows if row.identity == identity and row.partition == partition],
        output,
    )


def _describe(row: StoredWatermark) -> Row:
    return {
        "dag_id": row.identity.dag_id,
        "endpoint": row.identity.endpoint,
        "conn_id": row.identity.conn_id,
        "partition": row.partition or None,
        "watermark": None if row.state.value is None else str(row.state.value),
        "cursor": row.state.cursor,
        "moved_at": _instant(row.moved_at),
        "run_id": row.run_id or None,
    }


def _sum_up(rows: Sequence[StoredWatermark]) -> Row:
    """One row for an endpoint: the lowest watermark of its partitions, and the latest move."""
    parts = [row for row in rows if row.partition] or rows
    latest = max(parts, key=lambda row: row.moved_at or 0.0)
    lowest = parts[0].state if len(parts) == 1 else _find_lowest(parts)
    return {
        "dag_id": latest.identity.dag_id,
        "endpoint": latest.identity.endpoint,
        "conn_id": latest.identity.conn_id,
        "partitions": sum(1 for row in rows if row.partition),
        "watermark": None if lowest.value is None else str(lowest.value),
        "cursor": lowest.cursor,
        "moved_at": _instant(latest.moved_at),
        "run_id": latest.run_id or None,
    }


def _find_lowest(rows: Sequence[StoredWatermark]) -> WatermarkState:
    try:
        return find_lowest(row.state for row in rows)
    except InvalidRecord:  # of several kinds: --partitions shows them
        return NOTHING


def _instant(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat(timespec="seconds")
