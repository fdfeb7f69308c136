"""Between a row of the table and a ``GrantRecord``: columns, JSON and encryption. No I/O."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Row

from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.record import GrantRecord, GrantState, Journal, Lease, Reading, Trouble

EMPTY_ROW = {
    "conn_id": "",
    "revision": 0,
    "version": 0,
    "state": GrantState.EMPTY.value,
    "lineage": "",
    "fence": 0,
}


def to_columns(record: GrantRecord, cipher: TokenCipher) -> dict[str, Any]:
    """The columns that a change writes; the fence is raised by the lease alone."""
    sealed = cipher.seal(record.secret_part, grant_key=record.grant_key, version=record.version)
    return {
        "conn_id": record.conn_id,
        "revision": record.revision,
        "version": record.version,
        "state": record.state.value,
        "payload": sealed,
        "lineage": record.lineage,
        "expires_at": record.token.expires_at if record.token else None,
        "journal": json.dumps(asdict(record.journal)) if record.journal else None,
        "trouble": json.dumps(asdict(record.trouble)) if record.trouble else None,
        "lease_owner": record.lease.owner,
        "lease_until": record.lease.until,
    }


def to_record(row: Row[Any], read: Reading, cipher: TokenCipher) -> GrantRecord:
    """The record in ``row``.

    Raises:
        TokenUndecryptable: no key opens it.
    """
    record = GrantRecord(
        grant_key=row.grant_key,
        conn_id=row.conn_id,
        revision=row.revision,
        version=row.version,
        state=GrantState(row.state),
        lineage=row.lineage,
        journal=Journal(**json.loads(row.journal)) if row.journal else None,
        trouble=Trouble(**json.loads(row.trouble)) if row.trouble else None,
        lease=Lease(row.lease_owner, row.lease_until, row.fence),
        read=read,
    )
    if row.payload is None:
        return record
    part = cipher.open(row.payload, grant_key=row.grant_key, version=row.version)
    return record.with_secret_part(part)
