"""The protocol of an output folder, on a disk and in an object store, and the names of the files in it.

One run of one task instance owns a folder. Several *attempts* may write to it at once: a retry, and a process that
Airflow has given up but that is still alive. The manifest decides which output counts: an attempt replaces exactly the
manifest that it found when it began, or fails. Each attempt removes its own parts only. After a commit it also removes
parts that can no longer be committed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from oauth_taskflow.destinations.formats import FORMATS
from oauth_taskflow.errors import DestinationError, InvalidRecord, OAuthTaskflowError
from oauth_taskflow.redaction import redact_line, redact_url

# Libraries in Rust write the causes of an error one below the other, in colours.
_CAUSE = "↳"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_REASON = 400

MANIFEST = "_manifest.json"
PROGRESS = "_progress.msgpack"
TEMPORARY = ".tmp"
PART = "part"
# Rejected records next to the parts; readers of folders pass over names with _ before them.
REJECTED = "_rejected"
_REJECTED_SUFFIX = "jsonl"
# Labels of folders that have outputs of their own; no field may name the folders of partitions like this.
OUTPUT_LABELS = frozenset({"map_index", "run_id"})
# The folder of a mapped task instance, which has its own output.
INSTANCE = re.compile(r"map_index=(\d+)")
# part-00000.jsonl on a disk, part-00000-5f3a….jsonl in a store
_PART = re.compile(r"(?:part|_rejected)-\d+(?:-[0-9a-f]+)?\.(?P<format>.+)")
# .part-00000.jsonl.5f3a….tmp while it is written
_UNFINISHED = re.compile(r"\.(?P<name>.+)\.(?P<attempt>[0-9a-f]+)\.tmp")


class OpenPart(NamedTuple):
    """A part that is being written: its final name in the folder, and the file.

    ``reopen`` opens a file that was closed before it was complete, at its end; None where a part that is closed is complete.
    """

    name: str
    handle: IO[bytes]
    reopen: Callable[[], IO[bytes]] | None = None


class Attempt(Protocol):
    """One try at the output of a run: parts under way, and the commit that makes them count."""

    @property
    def found(self) -> bytes | None:
        """The manifest that the attempt found when it began."""

    @property
    def can_pause(self) -> bool:
        """Whether a part can be kept and then gone on with; in stores a part exists only once it is closed."""

    def open_part(self, number: int, partition: str = "", stem: str = PART) -> OpenPart:
        """Begins the part with this number, from 0, in the folder of a partition; ``stem`` begins its name."""

    def drop_part(self, part: OpenPart) -> None:
        """Drops a part that is open."""

    def kept_name(self, name: str) -> str:
        """Returns the name that the file of a part has until the commit, from its final one."""

    def adopt_part(self, number: int, kept_name: str, stem: str = PART) -> str:
        """Makes a complete part that an earlier attempt kept the part ``number`` of this one, and returns its final name."""

    def keep(self, progress: bytes, replaced: Sequence[str]) -> None:
        """Writes the progress file atomically, then removes files that only the progress before it needed."""

    def suspend(self) -> None:
        """Ends the attempt; what the progress file names stays. Never raises."""

    def publish(self, manifest: bytes, names: Sequence[str]) -> None:
        """Makes the parts ``names`` and ``manifest`` the output of the folder, and removes the parts of other attempts.

        Raises:
            DestinationError: another attempt committed since this one began.
        """

    def discard(self) -> None:
        """Removes the parts of this attempt, unless its commit succeeded or may have succeeded; never raises."""


class OutputFolder(Protocol):
    """A folder that holds output."""

    def begin(self, suffix: str, attempt: str) -> Attempt:
        """Starts an attempt with the id ``attempt`` (hexadecimal), whose parts have names with ``suffix``.

        Raises:
            Exception: nothing can be written.
        """

    def remove_output(self) -> bool:
        """Removes the output of all attempts, the manifest first, and returns whether there was any. Other files stay."""

    def has_output(self) -> bool:
        """Returns whether the folder has a manifest."""

    def read(self, name: str) -> bytes | None:
        """Returns the content of a small file; None when it is missing."""

    def size(self, name: str) -> int | None:
        """Returns the size of a file in bytes; None when it is missing."""

    def open_file(self, name: str) -> IO[bytes]:
        """Opens a file for reading."""

    def subfolders(self) -> list[str]:
        """Returns the names of the folders in this one; empty for a folder that does not exist."""


def name_part(number: int, suffix: str, stem: str = PART, unique: str = "") -> str:
    """Returns the name of a file of an output; rejected records are JSON lines in any output."""
    return f"{stem}-{number:05d}{unique}.{_REJECTED_SUFFIX if stem == REJECTED else suffix}"


def is_partition(folder: str) -> bool:
    """Returns whether a folder within that of an output may be a partition of it.

    It is none if a file in it ``begins_output``.
    """
    label, equals, _ = folder.partition("=")
    return bool(equals) and label not in OUTPUT_LABELS


def begins_output(name: str) -> bool:
    """Returns whether only the folder of an output has a file of this name, and no partition of it.

    The name may be that of a temporary file: a commit on a disk removes the old manifest before the new one is there.
    """
    unfinished = _UNFINISHED.fullmatch(name)
    return (unfinished["name"] if unfinished else name) in {MANIFEST, PROGRESS}


def is_ours(name: str) -> bool:
    """Returns whether a file name is that of a part, a manifest, progress or a temporary file, in any of ``FORMATS``.

    The name may have the folders of partitions before it.
    """
    name = name.rpartition("/")[2]
    unfinished = _UNFINISHED.fullmatch(name)
    name = unfinished["name"] if unfinished else name
    part = _PART.fullmatch(name)
    return name in {MANIFEST, PROGRESS} or (part is not None and part["format"] in FORMATS)


def find_attempt(name: str) -> str:
    """Returns the id of the attempt that a temporary file belongs to; empty for any other file."""
    unfinished = _UNFINISHED.fullmatch(name.rpartition("/")[2])
    return unfinished["attempt"] if unfinished else ""


@contextmanager
def as_destination_errors(what: str, path: Any) -> Iterator[None]:
    """Turns any error of a disk or store into a ``DestinationError``: ``what`` failed at ``path``."""
    try:
        yield
    except InvalidRecord as error:
        error.where = error.where or f"at {redact_url(str(path))}"
        raise
    except OAuthTaskflowError:
        raise
    # Object stores raise exceptions of libraries that we do not import.
    except Exception as error:
        raise DestinationError(
            f"{what} failed ({type(error).__name__}: {read_reason(error)})",
            where=f"at {redact_url(str(path))}",
            hint="Check the path, its permissions, free space, and the connection of the object store.",
        ) from error


def read_reason(error: Exception) -> str:
    """Returns the reason that a library gives, without secrets, as one line of bounded length."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if _CAUSE not in text:
        text = next(iter(text.strip().splitlines()), "")  # Azure adds a page of XML
    text = _COLOUR.sub("", text).replace(_CAUSE, " ")
    return redact_line(text, _LONGEST_REASON) or "no reason given"


def superseded_error(path: Any) -> DestinationError:
    """Returns the error of an attempt that another attempt overtook."""
    return DestinationError(
        "Another attempt of the same run committed its output while this one was writing, so this attempt was discarded",
        where=f"at {redact_url(str(path))}",
        hint="The output there is whole. Run the task again to replace it; let no other task or DAG write to this folder.",
    )


@contextmanager
def open_part(path: Any) -> Iterator[IO[bytes]]:
    """Opens a file of an output for reading. Cached listings are dropped first.

    Raises:
        FileNotFoundError: it is missing.
    """
    if not isinstance(path, Path):
        path.fs.invalidate_cache()
    with path.open("rb") as file:
        yield file
