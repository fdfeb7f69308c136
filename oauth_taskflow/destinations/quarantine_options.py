"""The ``quarantine`` options of an endpoint: where rejected records go, and how many may be rejected."""

from __future__ import annotations

from typing import Annotated

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.schema.types import Count, Options, Text, doc


class QuarantineOptions(Options, frozen=True, kw_only=True):
    """Where rejected records go, besides what a file destination does by itself (docs/quarantine.md)."""

    path: Annotated[
        Text | None,
        doc(
            "Folder for rejected records, as that of a file destination; a template. Absent: they are beside the files of the "
            "first file destination.",
            "/data/rejected/{{ dag_id }}/{{ endpoint }}",
        ),
    ] = None
    conn_id: Annotated[
        Text | None, doc("Airflow connection of the folder's object store.", "aws_default")
    ] = None
    max_records: Annotated[
        Count | None,
        doc("More rejected records fail the run; without it, any number may be.", 1000),
    ] = None

    @property
    def folder(self) -> FileDestination | None:
        """The destination that ``path`` names."""
        if self.path is None:
            return None
        return FileDestination(path=self.path, conn_id=self.conn_id)
