"""The place of an output in a table: the table, and whose rows are meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.destinations.base import Run
from oauth_taskflow.errors import DestinationError

NO_INSTANCE = -1
DEFAULT_PREFIX = "_"


class RowsPlace(Struct, frozen=True):
    """The rows of one task instance in ``table``, which is text that only its kind understands.

    ``map_index`` is -1 for the unmapped instance. ``version`` is that of the table which holds them, empty for the newest.
    ``prefix`` begins the names of the columns that say whose rows these are.
    """

    table: str
    dag_id: str = ""
    endpoint: str = ""
    run_id: str = ""
    map_index: int = NO_INSTANCE
    version: str = ""
    prefix: str = DEFAULT_PREFIX

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Distinguishes these rows from all others in the table; the values of its technical columns."""
        return (self.dag_id, self.endpoint, self.run_id, self.map_index)

    def __str__(self) -> str:
        run = {"dag_id": self.dag_id, "endpoint": self.endpoint, "run_id": self.run_id}
        instance = {} if self.map_index == NO_INSTANCE else {"map_index": self.map_index}
        version = {"version": self.version} if self.version else {}
        prefix = {} if self.prefix == DEFAULT_PREFIX else {"prefix": self.prefix}
        return f"{self.table}#{urlencode({**run, **instance, **version, **prefix})}"

    def pick_run(self, run: Run) -> RowsPlace:
        """Returns the place of ``run`` in the same table."""
        return replace(
            self,
            dag_id=run.dag_id,
            endpoint=run.endpoint,
            run_id=run.run_id,
            map_index=run.map_index,
            version="",
        )

    def pick_instance(self, map_index: int) -> RowsPlace:
        """Returns the place of another task instance of the same run."""
        return replace(self, map_index=map_index, version="")

    def pick_version(self, version: str) -> RowsPlace:
        """Returns the same rows as the table had them in ``version``."""
        return replace(self, version=version)


def list_noted_instances(notes: Iterable[tuple[Sequence[Any], bool]], place: RowsPlace) -> set[int]:
    """Returns the numbers of the instances of the run of ``place`` whose newest note has a manifest.

    ``notes`` are keys of rows, and whether they have a manifest; newest first. A note of something else has no key.
    """
    *run, _ = place.key
    newest: dict[int, bool] = {}
    for key, has_manifest in notes:
        if key and list(key[:-1]) == run:
            newest.setdefault(key[-1], has_manifest)
    return {number for number, has_manifest in newest.items() if has_manifest}


def read_place(text: str) -> RowsPlace:
    """Returns the place that ``str`` of it gave.

    Raises:
        DestinationError: the text is another one.
    """
    table, _, fragment = text.rpartition("#")
    found = dict(parse_qsl(fragment, keep_blank_values=True))
    try:
        return RowsPlace(
            table,
            found["dag_id"],
            found["endpoint"],
            found["run_id"],
            int(found.get("map_index", NO_INSTANCE)),
            found.get("version", ""),
            found.get("prefix", DEFAULT_PREFIX),
        )
    except (KeyError, ValueError) as error:
        raise DestinationError(
            "This names no rows of a table",
            where=f"at {table[:200]}",
            hint="Run the task that wrote them again.",
        ) from error
