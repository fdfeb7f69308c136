"""Keeps the nulls of Airflow's connection form out of stored connections.

The form of Airflow 3.3 saves null for every field of a connection type that was not filled. A default would prevent that, but
the form shows the default of a field that sounds secret (``token_url``) as ``***``, and saves that. So the API server removes
the nulls when it writes the row, whichever of its routes asked for it. An edit shows only fields that are stored, so that the
other fields of the form stay as empty texts, which mean the same as absent.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.models.connection import Connection
from sqlalchemy import event

from oauth_taskflow.connections.drafts.form_key import takes_object
from oauth_taskflow.connections.fields.form import FORM


def keep_nulls_out() -> None:
    """From now on this process stores no nulls in connections of type oauth2. Repeated calls change nothing."""
    for moment in ("before_insert", "before_update"):
        if not event.contains(Connection, moment, _clean_row):
            event.listen(Connection, moment, _clean_row)


def remove_nulls(extra: dict[str, Any]) -> dict[str, Any]:
    """Returns ``extra`` without nulls; a field of the form stays as an empty value, unless Airflow would show it as ``***``."""
    shown = {name for names in FORM.values() for name in names}
    return {
        name: ({} if takes_object(name) else "") if value is None else value
        for name, value in extra.items()
        if value is not None or (name in shown and not _is_masked(name))
    }


def _is_masked(name: str) -> bool:
    try:
        from airflow._shared.secrets_masker import (  # noqa: PLC0415 - not in every release
            should_hide_value_for_key,
        )
    except ImportError:
        return True
    return bool(should_hide_value_for_key(name))  # type: ignore[no-untyped-call]  # untyped in Airflow


def _clean_row(_mapper: Any, _connection: Any, row: Connection) -> None:
    if row.conn_type != "oauth2" or not row.extra:
        return
    try:
        extra = json.loads(row.extra)
    except (ValueError, RecursionError):
        return
    if isinstance(extra, dict) and None in extra.values():
        row.set_extra(json.dumps(remove_nulls(extra)))
