"""Names of columns that every reader of a lake takes."""

from __future__ import annotations

from collections.abc import Mapping

from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType

# Spark refuses them in the Parquet schemas of Delta Lake, and the column mapping that would allow them needs a newer reader.
FORBIDDEN_IN_DELTA = " ,;{}()\n\t="
# Iceberg cannot distinguish a.b from the field b of the object a.
FORBIDDEN_IN_ICEBERG = "."


def check_names(
    fields: Mapping[str, FieldType], uri: str, forbidden: str = "", parent: str = ""
) -> None:
    """Checks the names of columns, also within objects; lakes do not distinguish upper and lower case.

    Raises:
        DestinationError: a name is empty or has a ``forbidden`` character, or two differ in case alone.
    """
    seen: dict[str, str] = {}
    for name, field_type in fields.items():
        path = f"{parent}{name}"
        if not name or set(forbidden) & set(name):
            raise DestinationError(
                f"A field is called {path[:200]!r}, which is not a name for a column in this kind of table",
                where=f"at {uri}",
                hint="Rename the fields: fields: {names: snake_case}.",
            )
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise DestinationError(
                f"The fields {parent}{other[:100]!r} and {name[:100]!r} differ in case alone, and a table has one column for "
                "both",
                where=f"at {uri}",
                hint="Rename one of them (fields: move), or drop it.",
            )
        below, step = field_type, path
        while below.item is not None:
            below, step = below.item, f"{step}[]"
        check_names(below.fields, uri, forbidden, f"{step}.")


def plain_column(path: str) -> str | None:
    """Returns the column that a JMESPath text names, without its quotes; None when it names no column at the top."""
    if len(path) > 1 and path[0] == path[-1] == '"' and '"' not in path[1:-1]:
        return path[1:-1]
    return None if set(path) & set(".[]|@&()*`'\" ") else path
