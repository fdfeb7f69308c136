"""A folder of files as a destination: each run writes to its own folder, with the manifest last."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from oauth_taskflow.destinations.base import (
    NO_FACTS,
    Description,
    EndpointFacts,
    KeptForm,
    ManifestPlace,
    Output,
    Part,
    PathOpener,
    Progress,
    Run,
)
from oauth_taskflow.destinations.datasets import name_dataset
from oauth_taskflow.destinations.folder_writer import FolderWriter, Writing
from oauth_taskflow.destinations.formats import FORMATS, find_format
from oauth_taskflow.destinations.formats.base import SchemaFiles
from oauth_taskflow.destinations.kept_parts import count_whole, read_parts, read_progress
from oauth_taskflow.destinations.local_folder import LocalFolder
from oauth_taskflow.destinations.object_folder import ObjectFolder
from oauth_taskflow.destinations.output_folders import (
    INSTANCE,
    MANIFEST,
    PROGRESS,
    Attempt,
    OutputFolder,
    as_destination_errors,
    open_part,
)
from oauth_taskflow.destinations.part_stream import PartOptions
from oauth_taskflow.destinations.rejected_parts import REJECTED_FORMAT
from oauth_taskflow.destinations.schema_union import FileOpener
from oauth_taskflow.errors import ApiError
from oauth_taskflow.record_schema.model import RecordSchema

if TYPE_CHECKING:
    import pyarrow as pa

# Loaders of warehouses ask for 100 to 250 MB, and a retry of a failed upload stays cheap.
_STORE_PART_SIZE = 256_000_000
AnyWriter = TypeVar("AnyWriter")
# pathlib.Path, UPath or Airflow's ObjectStoragePath: alike in what is used here, without a type in common.
Folder = Any


def output_folder(path: Folder) -> OutputFolder:
    """Returns the way in which output is kept at ``path``: renames on a disk, conditional writes in an object store."""
    return LocalFolder(path) if isinstance(path, Path) else ObjectFolder(path)


def remove_output(path: Folder) -> bool:
    """Removes the output of a run at ``path``, then the folder if nothing else is in it; returns whether there was any.

    The manifest goes first, so that no reader takes the rest for a whole run. Files of others stay.

    Raises:
        DestinationError: a file cannot be removed.
    """
    with as_destination_errors("Removing older output", path):
        return output_folder(path).remove_output()


def has_output(path: Folder) -> bool:
    """Returns whether a committed output is at ``path``.

    Raises:
        DestinationError: the folder cannot be read.
    """
    with as_destination_errors("Reading the output folder", path):
        return output_folder(path).has_output()


def _open_local(path: str, _conn_id: str | None) -> Path:
    return Path(path)


class FolderDestination:
    """Files below ``folder``, which belongs to one run alone: each mapped task instance has ``map_index=<n>`` in it.

    ``folder`` is a ``pathlib.Path``, a ``UPath`` or an ``ObjectStoragePath``, or a text that ``open_path`` opens with
    ``conn_id``. ``_manifest.json`` is written last and
    says whose output counts: a reader that follows it never sees half a run. When several attempts write at once, the
    first to commit wins; the others fail and leave nothing. A run without records leaves an empty file and a manifest.
    """

    def __init__(
        self,
        folder: Folder,
        file_format: str = "jsonl",
        *,
        conn_id: str | None = None,
        open_path: PathOpener = _open_local,
        target_part_size: int | None = None,
        compression: str | None = None,
        facts: EndpointFacts = NO_FACTS,
    ) -> None:
        self._location = folder
        self._format = file_format
        self._conn_id = conn_id
        self._open_path = open_path
        self._target_size = target_part_size
        self._compression = compression
        self._facts = facts

    @property
    def _folder(self) -> Folder:
        if isinstance(self._location, str):
            self._location = self._open_path(self._location, self._conn_id)
        return self._location

    def open(self, run: Run) -> FolderWriter:
        """Opens a writer for one attempt at ``run``.

        Raises:
            DestinationError: the folder cannot be written.
        """
        return self._begin(run, FolderWriter)

    def _begin(
        self, run: Run, build: Callable[[Attempt, Writing, PartOptions], AnyWriter]
    ) -> AnyWriter:
        folder = self._instance_folder(run)
        opened = output_folder(folder)
        file_format = FORMATS[self._format]
        if self._compression is not None:
            file_format = file_format.compressions[self._compression]()
        attempt_id = secrets.token_hex(6)
        files = file_format.schema_files
        writing = Writing(folder, run, attempt_id, self._format, opened.open_file, files)
        is_local = isinstance(folder, Path)
        size = self._target_size or (None if is_local else _STORE_PART_SIZE)
        options = PartOptions(file_format, size, self._facts.declared)
        with as_destination_errors("Opening the output folder", folder):
            attempt = opened.begin(self._format, attempt_id)
            try:
                return build(attempt, writing, options)
            except BaseException:
                attempt.discard()
                raise

    @property
    def is_resumable(self) -> bool:
        """Whether files of this format can be gone on with."""
        return FORMATS[self._format].read_again is not None

    @property
    def kept_form(self) -> KeptForm:
        """The bytes of each record, or its values in files with a schema."""
        return "bytes" if FORMATS[self._format].returns_bytes else "values"

    @property
    def keep_every(self) -> float:
        """Ten seconds on a disk; five minutes where each time ends a part: in a store, and for files with a schema."""
        goes_on = isinstance(self._folder, Path) and FORMATS[self._format].schema_files is None
        return 10.0 if goes_on else 300.0

    def find_progress(self, run: Run) -> Progress | None:
        """Returns what an earlier attempt kept in the folder, if all of it is still there.

        Raises:
            DestinationError: the folder cannot be read.
        """
        path = self._instance_folder(run)
        with as_destination_errors("Reading the output folder", path):
            folder = output_folder(path)
            content = folder.read(PROGRESS)
            if content is None:
                return None
            found = read_progress(content, folder.read(MANIFEST), self._format)
            if found is None:
                return None
            kept = [*found.parts, *found.rejected]
            if any((folder.size(part.name) or -1) < part.bytes for part in kept):
                return None
        return Progress(found.rows, found.state, found, found.rejected_rows)

    def resume(self, run: Run, progress: Progress, rows: int) -> FolderWriter | None:
        """Opens a writer after the first ``rows`` records that were kept; None when not all of them are there.

        Raises:
            DestinationError: the folder cannot be read or written.
        """
        writer = self.open(run)
        try:
            with as_destination_errors(
                "Reading the records that were kept", self._instance_folder(run)
            ):
                is_whole = self._take_over(writer, run, progress, rows)
        except BaseException:
            writer.abort()
            raise
        if not is_whole:
            writer.abort()
        return writer if is_whole else None

    def _take_over(self, writer: FolderWriter, run: Run, progress: Progress, rows: int) -> bool:
        parts, open_file = progress.place.parts, output_folder(self._instance_folder(run)).open_file
        whole = parts[: count_whole(parts, rows)]
        kept = sum(part.rows for part in whole)
        try:
            if not writer.take_over(whole, open_file):
                return False
            writer.write_again(read_parts(parts, self._format, open_file, kept, rows - kept))
            return _take_over_rejected(writer, progress, open_file)
        except FileNotFoundError:  # another attempt that lives has just replaced it
            return False

    def read_kept(self, run: Run, progress: Progress, skip: int, take: int) -> Iterator[Any]:
        """Yields records that were kept, each as it was written.

        Raises:
            DestinationError: the folder cannot be read.
        """
        path = self._instance_folder(run)
        with as_destination_errors("Reading the records that were kept", path):
            folder = output_folder(path)
            yield from read_parts(progress.place.parts, self._format, folder.open_file, skip, take)

    def remove_stale(self, current: Mapping[int, str | None]) -> int:
        """Removes the folders of task instances that are not in ``current``, and returns how many there were.

        An earlier try of the same run had them when its parents had more records, or its list more values.

        Raises:
            DestinationError: the folder cannot be listed, or a file in it cannot be removed.
        """
        base = self._folder
        kept = {
            number
            for number, manifest in current.items()
            if manifest is None or manifest.startswith(f"{base}/")
        }
        stale = [folder for folder, number in _instance_folders(base) if number not in kept]
        if -1 not in kept and has_output(base):
            stale.append(base)
        return sum(remove_output(folder) for folder in stale)

    def read(
        self,
        part: str,
        skip: int,
        take: int,
        *,
        host: str = "",
        selector: str = "",  # noqa: ARG002 - a file is of one run
    ) -> Iterator[Any]:
        """Reads ``take`` records of the file ``part``, after the first ``skip``.

        Raises:
            ApiError: the file is gone.
            DestinationError: no format reads a file of this name.
        """
        file_format = find_format(part.rpartition("/")[2])
        with self._open_committed(part, host) as file:
            yield from file_format.read_records(file, skip, take)

    def read_tables(
        self, part: str, *, host: str = ""
    ) -> Iterator[tuple[pa.Table, RecordSchema]] | None:
        """Reads the file ``part`` as Arrow tables, if its format has schemas.

        Raises:
            ApiError: the file is gone.
            DestinationError: no format reads a file of this name.
        """
        files = find_format(part.rpartition("/")[2]).schema_files
        return None if files is None else self._read_tables(files, part, host)

    def has_types(self, part: str) -> bool:
        """Whether the format of the file ``part`` keeps types.

        Raises:
            DestinationError: no format reads a file of this name.
        """
        return find_format(part.rpartition("/")[2]).has_types

    def _read_tables(
        self, files: SchemaFiles, part: str, host: str
    ) -> Iterator[tuple[pa.Table, RecordSchema]]:
        with self._open_committed(part, host) as file:
            yield from files.read_tables(file)

    @contextmanager
    def _open_committed(self, part: str, host: str) -> Iterator[IO[bytes]]:
        path = self._open_path(part, self._conn_id)
        with ExitStack() as stack:
            try:
                file = stack.enter_context(open_part(path))
            except FileNotFoundError as error:
                raise _missing_records(path, host) from error
            yield file

    def describe(self, output: Output) -> Description:
        """Describes the files of ``output``; those of a disk with the name of this machine."""
        folder = self._instance_folder(output.run)
        host = socket.gethostname() if isinstance(folder, Path) else ""
        parts = [
            Part(str(folder / name), rows=file.rows, bytes=file.bytes, host=host)
            for name, file in zip(output.files, output.figures, strict=True)
        ]
        dataset = name_dataset(self._folder)
        return Description(parts, str(folder / MANIFEST), self._conn_id, dataset)

    def locate_manifest(self, run: Run) -> ManifestPlace:
        """Returns the path or URL of the manifest of ``run``, and the connection of its store."""
        return ManifestPlace(str(self._instance_folder(run) / MANIFEST), self._conn_id)

    def read_manifest(self, path: str) -> Mapping[str, Any] | None:
        """Returns the manifest at a path or URL; None when it is missing.

        Raises:
            DestinationError: it cannot be read.
        """
        place = self._open_path(path, self._conn_id)
        with as_destination_errors("Reading a manifest", place):
            try:
                with open_part(place) as file:
                    found = json.loads(file.read())
            except FileNotFoundError:
                return None
            if not isinstance(found, dict):
                raise TypeError("it is not a mapping")
            return found

    def _instance_folder(self, run: Run) -> Folder:
        return self._folder if run.map_index < 0 else self._folder / f"map_index={run.map_index}"


def _take_over_rejected(writer: FolderWriter, progress: Progress, open_file: FileOpener) -> bool:
    parts, rows = progress.place.rejected, progress.rejected
    whole = parts[: count_whole(parts, rows)]
    if not writer.take_over(whole, open_file, rejected=True):
        return False
    kept = sum(part.rows for part in whole)
    rest = read_parts(parts, REJECTED_FORMAT, open_file, kept, rows - kept)
    writer.write_again(rest, rejected=True)
    return True


def _instance_folders(base: Folder) -> list[tuple[Folder, int]]:
    with as_destination_errors("Listing the output folder", base):
        names = output_folder(base).subfolders()
    matches = (INSTANCE.fullmatch(name) for name in names)
    return [(base / match[0], int(match[1])) for match in matches if match is not None]


def _missing_records(path: Folder, host: str) -> ApiError:
    here = socket.gethostname()
    if host in {"", here}:
        return ApiError(
            "Records of the parent endpoint are gone",
            where=f"at {path}",
            hint="Run the parent task again; every worker must reach its destination.",
        )
    return ApiError(
        f"Records of the parent endpoint are not on this machine, {here}: {host} wrote them to its own disk",
        where=f"at {path}",
        hint="Let the destination be an object store, or a folder that all workers share (docs/destinations.md).",
    )
