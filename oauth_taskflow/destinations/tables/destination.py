"""The destination of every kind of table: asks a ``base.Table`` and knows no library."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from oauth_taskflow.destinations.base import (
    NO_FACTS,
    Description,
    EndpointFacts,
    ManifestPlace,
    Output,
    Part,
    Run,
)
from oauth_taskflow.destinations.output_folders import as_destination_errors
from oauth_taskflow.destinations.tables.base import Table
from oauth_taskflow.destinations.tables.place import RowsPlace, read_place
from oauth_taskflow.destinations.tables.writer import TableWriter

# The place of some rows -> their table.
TableOpener = Callable[[RowsPlace], Table]


class TableDestination:
    """Rows of a run in a table; ``open_table`` opens the table of a place, ``conn_id`` is the connection of its store.

    A pull that is cut off starts over: nothing of it is in the table.
    """

    def __init__(
        self,
        location: str,
        open_table: TableOpener,
        *,
        conn_id: str | None = None,
        facts: EndpointFacts = NO_FACTS,
    ) -> None:
        self._location = location
        self._open_table = open_table
        self._conn_id = conn_id
        self._facts = facts

    @property
    def _place(self) -> RowsPlace:
        return read_place(self._location)

    def open(self, run: Run) -> TableWriter:
        """Opens a writer for one attempt at ``run``.

        Raises:
            DestinationError: the table cannot be reached.
        """
        place = self._place.pick_run(run)
        attempt = secrets.token_hex(6)
        return TableWriter(self._open_table(place), place, run, attempt, self._facts.declared)

    def remove_stale(self, current: Mapping[int, str | None]) -> int:
        """Removes the rows of task instances of the run that are not in ``current``, and returns how many there were.

        In mode ``merge`` their rows stay, since they may be those of earlier runs too. An instance whose manifest is in another table has none in this one: its values chose the table.

        Raises:
            DestinationError: the table cannot be read or written.
        """
        place = self._place
        table = self._open_table(place)
        kept = {
            number
            for number, manifest in current.items()
            if manifest is None or read_place(manifest).table == place.table
        }
        with as_destination_errors("Removing older rows", table.uri):
            stale = [number for number in table.list_instances(place) if number not in kept]
            for number in stale:
                table.remove(place.pick_instance(number))
        return len(stale)

    def read(
        self,
        part: str,
        skip: int,
        take: int,
        *,
        host: str = "",  # noqa: ARG002 - of the protocol
        selector: str = "",
    ) -> Iterator[Any]:
        """Reads records of the version of the table that the run wrote.

        Raises:
            ApiError: the table no longer has it.
            DestinationError: the table cannot be read.
        """
        place = read_place(selector or part)
        table = self._open_table(place)
        with as_destination_errors("Reading the table", table.uri):
            yield from table.read(place, skip, take)

    def describe(self, output: Output) -> Description:
        """Describes the rows that a run wrote: the table, and which of its rows."""
        place = self._place.pick_run(output.run)
        selector = output.files[0]
        part = Part(output.location, output.summary.rows, output.bytes, selector=selector)
        return Description([part], str(place), self._conn_id, dataset=output.location)

    def locate_manifest(self, run: Run) -> ManifestPlace:
        """Returns where the manifest of ``run`` is found: in the table's history."""
        return ManifestPlace(str(self._place.pick_run(run)), self._conn_id)

    def read_manifest(self, path: str) -> Mapping[str, Any] | None:
        """Returns the manifest of the rows at ``path``; None while there are none.

        Raises:
            DestinationError: the table cannot be read.
        """
        place = read_place(path)
        table = self._open_table(place)
        with as_destination_errors("Reading a manifest", table.uri):
            return table.find_manifest(place)
