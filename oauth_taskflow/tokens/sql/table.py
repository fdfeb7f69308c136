"""The table of the SQL token store: its columns and clock, its creation without a race, and its rows as records."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import asdict
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Double,
    Engine,
    MetaData,
    Row,
    String,
    Table,
    Text,
    inspect,
    literal_column,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.state.record import (
    ClockSample,
    GrantRecord,
    GrantState,
    Journal,
    LastFailure,
    Lease,
)

LARGE_TEXT = Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")  # TEXT ends at 64 KiB there

# Independent of the server's defaults: transactions, and keys compared byte by byte.
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
METADATA = MetaData()
GRANTS = Table(
    "oauth_taskflow_grant",
    METADATA,
    Column("grant_key", String(64), primary_key=True),
    Column("conn_id", String(250), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("payload", LARGE_TEXT, nullable=True),
    Column("lineage", String(64), nullable=False),
    Column("expires_at", Double, nullable=True),
    Column("journal", LARGE_TEXT, nullable=True),
    Column("trouble", LARGE_TEXT, nullable=True),
    Column("lease_owner", String(250), nullable=True),
    Column("lease_until", Double, nullable=True),
    Column("fence", BigInteger, nullable=False),
    Column("updated_at", Double, nullable=True),
    **TABLE_OPTIONS,
)

# Seconds since the epoch (UTC) with a fraction, at the time of the statement.
_CLOCKS = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "CAST(extract(epoch from clock_timestamp()) AS double precision)",
    "mysql": "CAST(UNIX_TIMESTAMP(SYSDATE(6)) AS DOUBLE)",
    "mariadb": "CAST(UNIX_TIMESTAMP(SYSDATE(6)) AS DOUBLE)",
}


def is_supported_dialect(name: str) -> bool:
    """Whether the store supports that database."""
    return name in _CLOCKS


def database_clock(dialect: str) -> ColumnElement[float]:
    """SQL for the database's own clock, in seconds since the epoch."""
    return literal_column(_CLOCKS[dialect], Double)


def create_schema(engine: Engine, table: Table = GRANTS) -> None:
    """Create ``table`` if it is missing; several processes may try at once."""
    if inspect(engine).has_table(table.name):
        return
    try:
        with engine.begin() as connection:
            connection.execute(CreateTable(table, if_not_exists=True))
    except DBAPIError:
        # PostgreSQL may report a duplicate from its catalogue when two create at the same moment.
        if not inspect(engine).has_table(table.name):
            raise


EMPTY_ROW = {
    "conn_id": "",
    "version": 0,
    "state": GrantState.EMPTY.value,
    "lineage": "",
}


def to_columns(record: GrantRecord, cipher: TokenCipher) -> dict[str, Any]:
    """The columns that a change writes; only the lease raises the fence."""
    sealed = cipher.seal(record.secret_part, grant_key=record.grant_key, version=record.version)
    return {
        "conn_id": record.conn_id,
        "revision": record.revision,
        "version": record.version,
        "state": record.state.value,
        "payload": sealed,
        "lineage": record.lineage,
        "expires_at": record.token.expires_at if record.token else None,
        "journal": _journal_text(record.journal) if record.journal else None,
        "trouble": json.dumps(asdict(record.last_failure)) if record.last_failure else None,
        "lease_owner": record.lease.owner,
        "lease_until": record.lease.until,
    }


def to_record(row: Row[Any], read_at: ClockSample, cipher: TokenCipher) -> GrantRecord:
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
        journal=_read_journal(row.journal) if row.journal else None,
        last_failure=LastFailure(**json.loads(row.trouble)) if row.trouble else None,
        lease=Lease(row.lease_owner, row.lease_until, row.fence),
        read_at=read_at,
    )
    if row.payload is None:
        return record
    part = cipher.open(row.payload, grant_key=row.grant_key, version=row.version)
    return record.with_secret_part(part)


def _journal_text(journal: Journal) -> str:
    """``journal`` as the column holds it, where ``mark`` is the name of the fingerprint."""
    fields = asdict(journal)
    return json.dumps({"fence": fields.pop("fence"), "mark": fields.pop("fingerprint"), **fields})


def _read_journal(text: str) -> Journal:
    fields = json.loads(text)
    return Journal(fingerprint=fields.pop("mark"), **fields)
