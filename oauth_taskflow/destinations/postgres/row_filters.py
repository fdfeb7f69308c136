"""Triggers, rules and policies of a table that another tool made, which may keep rows out of it, or in it, without an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oauth_taskflow.destinations.postgres.database import execute
from oauth_taskflow.destinations.postgres.identifiers import TableName
from oauth_taskflow.errors import DestinationError

if TYPE_CHECKING:
    from psycopg import Connection

# Triggers that run before each row (bits 0 and 1 of tgtype) may leave it out; partitions may have their own.
_HAS_FILTERS = """\
WITH RECURSIVE parts(oid) AS (
    SELECT to_regclass(%s)::oid UNION ALL SELECT inhrelid FROM pg_inherits JOIN parts ON inhparent = parts.oid
)
SELECT EXISTS (SELECT 1 FROM pg_class JOIN parts USING (oid) WHERE relhasrules)
    OR EXISTS (SELECT 1 FROM pg_trigger JOIN parts ON tgrelid = parts.oid
        WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & 3 = 3)"""
# To replace rows, a login reads and deletes them (commands r and d): each needs a policy for all rows, and none that restricts.
_HIDES_ROWS = """\
WITH own AS (
    SELECT polcmd, polpermissive, pg_get_expr(polqual, polrelid) = 'true' AS is_open FROM pg_policy
    WHERE polrelid = to_regclass(%s) AND (polroles = '{0}' OR EXISTS (
        SELECT 1 FROM unnest(polroles) AS role WHERE pg_has_role(role, 'USAGE')))
)
SELECT row_security_active(to_regclass(%s)) AND EXISTS (
    SELECT 1 FROM unnest(ARRAY['r', 'd']::"char"[]) AS needed(command) WHERE
    NOT EXISTS (SELECT 1 FROM own WHERE polpermissive AND polcmd IN (command, '*') AND is_open)
    OR EXISTS (SELECT 1 FROM own WHERE NOT polpermissive AND polcmd IN (command, '*') AND is_open IS NOT TRUE)
)"""


def has_row_filters(connection: Connection, table: TableName) -> bool:
    """Returns whether the table has a rule, or a trigger that may leave out a row."""
    found = execute(connection, _HAS_FILTERS, (table.regclass,)).fetchone()
    return bool(found and found[0])


def require_visible_rows(connection: Connection, table: TableName) -> None:
    """Checks that the login sees each row of the table, so that rows of an earlier try can be replaced.

    Raises:
        DestinationError: row level security may hide some.
    """
    found = execute(connection, _HIDES_ROWS, (table.regclass, table.regclass)).fetchone()
    if found and found[0]:
        raise DestinationError(
            "Row level security may hide rows of the table from this login, so rows of an earlier try could stay",
            where=f"at {table}",
            hint="Give the login BYPASSRLS, or a policy FOR ALL USING (true), or write mode: append.",
        )


def filtered_error(what: str, where: str) -> DestinationError:
    """Returns the error of a commit of which a trigger or rule changed the outcome: ``what`` happened."""
    return DestinationError(
        f"A trigger or rule of the table {what}; nothing was written",
        where=f"at {where}",
        hint="Disable it for this login, write into another table, or drop such records (where).",
    )
