"""The file destination in a spec: its options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from oauth_taskflow.destinations.base import (
    NO_FACTS,
    EndpointFacts,
    StoreAccess,
    TemplateRenderer,
)
from oauth_taskflow.destinations.folder_destination import (
    FolderDestination,
    has_output,
    output_folder,
    remove_output,
)
from oauth_taskflow.destinations.formats import FORMATS
from oauth_taskflow.destinations.partitioned_writer import PartitionedDestination
from oauth_taskflow.destinations.partitions import FieldName, FieldPartition, as_partition
from oauth_taskflow.destinations.requirements import Requirement, find_store_requirements
from oauth_taskflow.schema.sizes import read_size
from oauth_taskflow.schema.types import DataSize, Options, Text, doc

__all__ = [
    "FileDestination",
    "FolderDestination",
    "has_output",
    "output_folder",
    "remove_output",
]

if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[tuple(FORMATS)]  # for the spec format, which lists the names
CompressionName = Literal["gzip", "lz4", "none", "snappy", "zstd"]


class FileDestination(Options, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """Files, described by ``_manifest.json``, which is written last (docs/destinations.md)."""

    path: Annotated[
        Text | None,
        doc(
            "Folder, local or any ObjectStoragePath URL; a template. Each run writes its own sub-folder.",
            "s3://lake/crm/{{ endpoint }}",
        ),
    ] = None
    format: Annotated[
        FormatName,
        doc(
            "File format: a JSON record per line, plain or compressed, or another of docs/destinations.md.",
            "jsonl.gz",
        ),
    ] = "jsonl"
    target_part_size: Annotated[
        DataSize | None,
        doc(
            "A file that has reached this size ends, and another follows. Without it, files in stores end at 256 MB, those on "
            "a disk never.",
            "128MB",
        ),
    ] = None
    partition_by: Annotated[
        tuple[FieldName | FieldPartition, ...],
        doc(
            "A folder for each value of these fields, in Hive's style.",
            [{"field": "created_at", "by": "day"}],
        ),
    ] = ()
    compression: Annotated[
        CompressionName | None,
        doc("Compression inside Parquet and Arrow files; zstd without it.", "snappy"),
    ] = None
    conn_id: Annotated[
        Text | None, doc("Airflow connection of the object store.", "aws_default")
    ] = None

    @property
    def address(self) -> str | None:
        """The connection of the store and the path."""
        return None if self.path is None else f"{self.conn_id or ''}|{self.path}"

    def requirements(self) -> Iterator[Requirement]:
        """Yields what the format needs, and the library of the object store where the path begins with its scheme."""
        yield from FORMATS[self.format].requires
        yield from find_store_requirements(self.path)

    def templates(self) -> dict[str, str]:
        """Returns the path."""
        return {} if self.path is None else {"path": self.path}

    def locate(self, render: TemplateRenderer, run_id: str) -> str:
        """Returns the folder of a run, ``<path>/run_id=<run id>`` in Hive's partition style."""
        return f"{render(self.path or '').rstrip('/')}/run_id={quote(run_id, safe='')}"

    def connect(
        self,
        location: str,
        access: StoreAccess,
        facts: EndpointFacts = NO_FACTS,
    ) -> FolderDestination:
        """Returns the destination in the folder ``location``, which is opened on first use."""
        size = None if self.target_part_size is None else read_size(self.target_part_size)
        options: dict[str, Any] = {
            "conn_id": self.conn_id,
            "open_path": access.open_path,
            "target_part_size": size,
            "compression": self.compression,
            "facts": facts,
        }
        if not self.partition_by:
            return FolderDestination(location, self.format, **options)
        levels = [as_partition(option) for option in self.partition_by]
        return PartitionedDestination(location, self.format, levels=levels, **options)

    @classmethod
    def connect_for_reading(cls, conn_id: str | None, access: StoreAccess) -> FolderDestination:
        """Returns a destination whose ``read`` takes the path or URL of any file."""
        return FolderDestination("", conn_id=conn_id, open_path=access.open_path)
