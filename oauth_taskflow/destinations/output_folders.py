"""What a folder of output must be able to do, on a disk as in an object store, and the names of what is in it.

One run of one task instance owns a folder. Several *attempts* may write to it at once: a retry, and the process that
Airflow gave up although it lives. Whose output counts is decided by the manifest: an attempt replaces exactly the
manifest that it found when it began, or fails. Each attempt removes its own parts only, and after a commit those
that cannot be committed any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from oauth_taskflow.destinations.formats import FORMATS
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.redaction import redact_url

MANIFEST = "_manifest.json"
TEMPORARY = ".tmp"
# part-00000.jsonl on a disk, part-00000-5f3a….jsonl in a store
_PART = re.compile(r"part-\d+(?:-[0-9a-f]+)?\.(?P<format>.+)")
# .part-00000.jsonl.5f3a….tmp while it is written
_UNFINISHED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]+\.tmp")


class Attempt(Protocol):
    """One try at the output of a run: a part under way, and the commit that makes it count."""

    @property
    def name(self) -> str:
        """The part's final name in the folder."""

    @property
    def handle(self) -> IO[bytes]:
        """Where the part is written; closed by the caller before ``publish``."""

    def publish(self, manifest: bytes) -> None:
        """Make the part and ``manifest`` the output of the folder, and remove what other attempts left.

        Raises:
            DestinationError: another attempt committed since this one began.
        """

    def discard(self) -> None:
        """Remove what this attempt wrote, unless its commit went through or may have; never raises."""


class OutputFolder(Protocol):
    """A folder that output goes to."""

    def begin(self, part: str, attempt: str) -> Attempt:
        """Start an attempt with the id ``attempt`` (hexadecimal) at ``part``; fails where nothing can be written."""

    def remove_output(self) -> bool:
        """Remove the output of all attempts, the manifest first; whether there was any. Files of others stay."""

    def has_output(self) -> bool:
        """Whether a manifest is there."""

    def subfolders(self) -> list[str]:
        """Names of the folders in this one; empty when it is not there."""


def is_ours(name: str) -> bool:
    """Whether a file of this name in a folder of output is part of an output, in any of ``FORMATS``."""
    unfinished = _UNFINISHED.fullmatch(name)
    name = unfinished["name"] if unfinished else name
    part = _PART.fullmatch(name)
    return name == MANIFEST or (part is not None and part["format"] in FORMATS)


@contextmanager
def as_destination_errors(what: str, path: Any) -> Iterator[None]:
    """Turns whatever a disk or store raises into one ``DestinationError``: ``what`` failed at ``path``."""
    try:
        yield
    except DestinationError:
        raise
    # Object stores raise exceptions of their own libraries, which we do not import.
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = next(
            iter(reason.strip().splitlines()), "no reason given"
        )  # Azure adds a page of XML
        raise DestinationError(
            f"{what} failed ({type(error).__name__}: {reason})",
            where=f"at {redact_url(str(path))}",
            hint="Check the path, its permissions, free space, and the connection of the object store.",
        ) from error


def superseded(path: Any) -> DestinationError:
    """The error of an attempt that another one overtook."""
    return DestinationError(
        "Another attempt of the same run committed its output while this one was writing, so this one counts for nothing",
        where=f"at {redact_url(str(path))}",
        hint="The output there is whole. Run the task again to replace it; let no other task or DAG write to this folder.",
    )


@contextmanager
def open_part(path: Any) -> Iterator[IO[bytes]]:
    """Opens a file of an output for reading. Listings kept from before are not trusted.

    Raises:
        FileNotFoundError: it is missing.
    """
    if not isinstance(path, Path):
        path.fs.invalidate_cache()
    with path.open("rb") as file:
        yield file
