"""Names of tables and columns: quoted, so that case, blanks and reserved words do not matter, and at most 63 bytes long."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from msgspec import Struct

# PostgreSQL cuts longer names off without an error (NAMEDATALEN - 1).
MOST_BYTES = 63
_MOST_PARTS = 2
OWN_PREFIX = "_oauth_taskflow"
# https://www.postgresql.org/docs/current/ddl-system-columns.html: also the edges of many a bounding box.
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


class TableName(Struct, frozen=True):
    """A table and the schema that it is in."""

    schema: str
    name: str

    @property
    def sql(self) -> str:
        """The name as statements write it."""
        return f"{quote_name(self.schema)}.{quote_name(self.name)}"

    @property
    def regclass(self) -> str:
        """The name as the parameter of a statement, for ``to_regclass``."""
        return self.sql.replace("%%", "%")

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def quote_name(name: str) -> str:
    """Returns ``name`` as an identifier in a statement with parameters, in which a percent sign is doubled."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def quote_text(text: str) -> str:
    """Returns ``text`` as a constant in a statement with parameters."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


def shorten_name(name: str) -> str:
    """Returns ``name`` if it is short enough; else its beginning with a digest of the whole behind it."""
    encoded = name.encode()
    if len(encoded) <= MOST_BYTES:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{encoded[: MOST_BYTES - 9].decode(errors='ignore')}_{digest}"


def name_flaw(name: str) -> str | None:
    """Returns why ``name`` cannot be the name of a schema or table; None for a good one."""
    if not name.strip():
        return "it is empty"
    if _CONTROL.search(name):
        return "it has a control character"
    if len(name.encode("utf-8", "replace")) > MOST_BYTES:
        return f"it is longer than {MOST_BYTES} bytes"
    return None


def column_flaw(name: str) -> str | None:
    """Returns why ``name`` cannot be the name of a column; None for a good one."""
    if name in SYSTEM_COLUMNS:
        return "PostgreSQL has a system column of that name in every table"
    return name_flaw(name)


def find_table_flaw(parts: Sequence[str]) -> tuple[str, str] | None:
    """Returns which of ``parts``, a table with or without its schema, cannot be a name, and why; None for good ones."""
    if len(parts) > _MOST_PARTS:
        return ".".join(parts), "it has more than two parts"
    flaws = ((part, _part_flaw(part)) for part in parts)
    return next(((part, flaw) for part, flaw in flaws if flaw is not None), None)


def _part_flaw(name: str) -> str | None:
    if name.startswith(OWN_PREFIX):
        return f"names that begin with {OWN_PREFIX} belong to the destination"
    return "it has a dot" if "." in name else name_flaw(name)


def split_table(template: str) -> list[str]:
    """Returns the parts of ``schema.table`` before templates are filled in; a dot in a template separates nothing."""
    parts, at = [""], 0
    for match in _TEMPLATE.finditer(template):
        before = template[at : match.start()].split(".")
        parts[-1] += before[0]
        parts += before[1:]
        parts[-1] += match[0]
        at = match.end()
    rest = template[at:].split(".")
    parts[-1] += rest[0]
    return parts + rest[1:]
