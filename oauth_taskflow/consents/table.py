"""The table of consents in flight. Its rows live for minutes.

Servers with an older version of this package share the database and never open this table.
"""

from __future__ import annotations

from sqlalchemy import Column, Double, MetaData, String, Table

from oauth_taskflow.tokens.sql.table import LARGE_TEXT, TABLE_OPTIONS

METADATA = MetaData()
# Keys are hashes: a reader of the database learns neither a state nor a ticket. ``user_key`` is that of the user who asked,
# ``answer`` is what came back, ``taken_by`` the one server that got the row. Device codes are asked about from ``ask_at`` on, every ``pause`` seconds.
CONSENTS = Table(
    "oauth_taskflow_pending_consent",
    METADATA,
    Column("consent_key", String(64), primary_key=True),
    Column("ticket_key", String(64), nullable=True, unique=True),
    Column("user_key", String(64), nullable=False),
    Column("content", LARGE_TEXT, nullable=False),
    Column("answer", LARGE_TEXT, nullable=True),
    Column("taken_by", String(64), nullable=True),
    Column("ask_at", Double, nullable=False),
    Column("pause", Double, nullable=False),
    Column("began_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    **TABLE_OPTIONS,
)
