"""The table of notices: one row for each connection and channel with a trouble of which people were or are being notified."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, MetaData, String, Table

from oauth_taskflow.tokens.sql.table import LARGE_TEXT, TABLE_OPTIONS

METADATA = MetaData()
# ``sent`` and ``pending`` are JSON. A claim is the right to send ``pending``; it lapses at ``claimed_until``.
NOTICES = Table(
    "oauth_taskflow_notice",
    METADATA,
    Column("topic_key", String(64), primary_key=True),
    Column("conn_id", String(250), nullable=False),
    Column("channel", String(250), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("sent", LARGE_TEXT, nullable=False),
    Column("pending", LARGE_TEXT, nullable=True),
    Column("claim", String(64), nullable=True),
    Column("claimed_until", Double, nullable=True),
    Column("changed_at", Double, nullable=True),
    **TABLE_OPTIONS,
)
