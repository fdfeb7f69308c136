"""The tables of stored watermarks: one row per partition, where each run began, and commits that are under way or on their way.

Workers with an older version of this package share the database and never open these tables.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, MetaData, String, Table

from oauth_taskflow.tokens.sql.table import LARGE_TEXT, TABLE_OPTIONS

METADATA = MetaData()
# The row without a partition is the endpoint's head: every change locks it first. Its state counts for an endpoint without
# partitions, or with too many of them (``is_shared``).
WATERMARKS = Table(
    "oauth_taskflow_watermark",
    METADATA,
    Column("scope_key", String(64), primary_key=True),
    Column("partition_key", String(64), primary_key=True),
    Column("dag_id", String(250), nullable=False),
    Column("endpoint", String(250), nullable=False),
    Column("conn_id", String(250), nullable=False),
    Column("partition_text", LARGE_TEXT, nullable=False),
    Column("state", LARGE_TEXT, nullable=False),
    Column("is_shared", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("moved_at", Double, nullable=True),
    Column("seen_at", Double, nullable=True),
    **TABLE_OPTIONS,
)
# Where a run began to read a partition: the same run, tried again, replaces its output and must begin there again. Of a run
# whose beginnings are not kept any more, one row with this key for the partition is left, which no partition has.
FORGOTTEN = "forgotten"
BASES = Table(
    "oauth_taskflow_watermark_base",
    METADATA,
    Column("scope_key", String(64), primary_key=True),
    Column("run_key", String(64), primary_key=True),
    Column("partition_key", String(64), primary_key=True),
    Column("state", LARGE_TEXT, nullable=False),
    Column("noted_at", Double, nullable=False),
    **TABLE_OPTIONS,
)
# Written before the output is committed, removed when the watermarks have moved.
COMMITS = Table(
    "oauth_taskflow_watermark_commit",
    METADATA,
    Column("token", String(64), primary_key=True),
    Column("scope_key", String(64), nullable=False, index=False),
    Column("run_key", String(64), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("place", LARGE_TEXT, nullable=False),
    Column("moves", LARGE_TEXT, nullable=False),
    Column("run_id", String(250), nullable=False),
    Column("noted_at", Double, nullable=False),
    **TABLE_OPTIONS,
)
# Pieces of the text of a commit that a task sends one by one, until the last one has arrived.
PIECES = Table(
    "oauth_taskflow_watermark_piece",
    METADATA,
    Column("token", String(64), primary_key=True),
    Column("pieces", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("scope_key", String(64), nullable=False),
    Column("text", LARGE_TEXT, nullable=False),
    Column("noted_at", Double, nullable=False),
    **TABLE_OPTIONS,
)
TABLES = (WATERMARKS, BASES, COMMITS, PIECES)
