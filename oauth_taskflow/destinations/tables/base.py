"""The protocol of a table: what one kind of it must be able to do, for ``destination.TableDestination``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from msgspec import Struct

from oauth_taskflow.destinations.tables.place import RowsPlace
from oauth_taskflow.destinations.tables.spool import TableSpool


class Commit(Struct, frozen=True):
    """Everything that one transaction puts into a table.

    ``place`` says whose rows these are, ``manifest`` describes them, ``found`` is the attempt whose rows were there when
    this one began (None without): when there are others by now, the commit must fail.
    """

    place: RowsPlace
    rows: TableSpool
    manifest: Mapping[str, Any]
    found: str | None


class Committed(Struct, frozen=True):
    """The result of a transaction: the version of the table with these rows, and the bytes of its new files."""

    version: str
    bytes: int


class Table(Protocol):
    """One table. Errors of its library may pass: the caller turns them into a ``DestinationError``."""

    @property
    def is_nested(self) -> bool:
        """Whether objects and lists have columns of their own type; otherwise they come as JSON."""

    @property
    def uri(self) -> str:
        """The table as lineage names it, without a secret."""

    def check(self) -> None:
        """Asks for the table, so that a wrong connection or a missing permission shows before anything is pulled."""

    def find_manifest(self, place: RowsPlace) -> Mapping[str, Any] | None:
        """Returns the manifest of the transaction that wrote the rows of ``place``; None without."""

    def commit(self, commit: Commit) -> Committed:
        """Writes the rows and the manifest in one transaction.

        Raises:
            DestinationError: another attempt committed since, or a column of the table cannot hold the values.
        """

    def list_instances(self, place: RowsPlace) -> Collection[int]:
        """Returns the numbers of the task instances of the run that have output: rows or, in mode ``merge``, a manifest."""

    def remove(self, place: RowsPlace) -> None:
        """Removes the rows of one task instance, and notes that it has no output any more.

        In mode ``merge`` all rows stay. The columns of a row name the run that wrote it last: earlier ones may have added it.
        """

    def read(self, place: RowsPlace, skip: int, take: int) -> Iterator[Any]:
        """Yields decoded records of ``place`` in the order in which the version holds them.

        Raises:
            ApiError: the table no longer has this version.
        """
