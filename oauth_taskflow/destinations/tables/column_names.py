"""Names of columns that every reader of a lake takes."""

from __future__ import annotations

from collections.abc import Iterable

from oauth_taskflow.errors import DestinationError

# Spark refuses them in the Parquet schemas of Delta Lake, and the column mapping that would allow them needs a newer reader.
FORBIDDEN_IN_DELTA = " ,;{}()\n\t="


def check_names(names: Iterable[str], uri: str, forbidden: str = "") -> None:
    """Checks the names of columns; lakes do not distinguish upper and lower case.

    Raises:
        DestinationError: a name is empty or has a ``forbidden`` character, or two differ in case alone.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not name or set(forbidden) & set(name):
            raise DestinationError(
                f"A field is called {name[:100]!r}, which is no name of a column in this kind of table",
                where=f"at {uri}",
                hint="Rename the fields: fields: {names: snake_case}.",
            )
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise DestinationError(
                f"The fields {other[:100]!r} and {name[:100]!r} differ in case alone, and a table has one column for both",
                where=f"at {uri}",
                hint="Rename one of them (fields: move), or drop it.",
            )
