"""Several destinations of one endpoint as one: each page goes to all of them, and the first is the authority.

The first destination's manifest proves the run: watermarks and parent records are read from it. So it commits last,
after all others in their order. Its manifest is there only when every destination has the records.

| What fails | What is left |
|---|---|
| opening, writing, or the commit of the second | nothing anywhere that had not been committed before |
| a later commit, the first destination's own included | the output of those that have committed; the task fails, and its next try replaces the output of the run everywhere |

A pull that was cut off goes on only where all destinations can. Otherwise it starts over.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.destinations.base import (
    Description,
    Destination,
    KeptForm,
    ManifestPlace,
    Output,
    Progress,
    RejectingWriter,
    ResumableDestination,
    ResumableWriter,
    Run,
    Writer,
    find_kept_form,
)
from oauth_taskflow.errors import DestinationError, OAuthTaskflowError

if TYPE_CHECKING:
    from oauth_taskflow.destinations.transfer import TransferSummary

_log = logging.getLogger(__name__)
_FORMS: tuple[KeptForm, ...] = ("bytes", "json", "values")  # the truest first


class SeveralOutput(Output, frozen=True):
    """The output of the first destination, with those of the others in their order."""

    further: tuple[Output, ...] = ()


class _Kept(Struct, frozen=True):
    """The state that each destination keeps: the engine's, with the attempt that kept it and the number of times."""

    attempt: str
    count: int
    state: bytes


class SeveralDestinations:
    """Two or more destinations, as one ``Destination`` that can be resumed where all of them can."""

    def __init__(self, destinations: Sequence[Destination]) -> None:
        self._all = list(destinations)
        self._first = self._all[0]

    def open(self, run: Run) -> SeveralWriter:
        """Opens a writer at each destination; where one fails, those before it are left as they were.

        Raises:
            DestinationError: a destination cannot be written.
        """
        writers: list[Writer] = []
        try:
            for destination in self._all:
                writers.append(destination.open(run))  # noqa: PERF401 - those opened are closed below
        except BaseException:
            _abort(writers)
            raise
        return SeveralWriter(writers)

    def remove_stale(self, current: Mapping[int, str | None]) -> int:
        """Removes stale output of the first destination, whose manifests ``current`` names.

        The engine asks the others one by one, with their own manifests.

        Raises:
            DestinationError: as the destination raises.
        """
        return self._first.remove_stale(current)

    def read(
        self, part: str, skip: int, take: int, *, host: str = "", selector: str = ""
    ) -> Iterator[Any]:
        """Reads records of the first destination.

        Raises:
            ApiError: the part is missing.
        """
        return self._first.read(part, skip, take, host=host, selector=selector)

    def describe(self, output: Output) -> Description:
        """Describes the output of the first destination, and those of the others in ``further``."""
        found = self._first.describe(output)
        others = output.further if isinstance(output, SeveralOutput) else ()
        pairs = zip(self._all[1:], others, strict=False)
        return replace(found, further=tuple(each.describe(other) for each, other in pairs))

    def locate_manifest(self, run: Run) -> ManifestPlace:
        """Returns the place of the first destination's manifest, which is committed last."""
        return self._first.locate_manifest(run)

    def read_manifest(self, path: str) -> Mapping[str, Any] | None:
        """Returns the first destination's manifest.

        Raises:
            DestinationError: as the destination raises.
        """
        return self._first.read_manifest(path)

    @property
    def is_resumable(self) -> bool:
        """Whether all destinations can go on after a pull that was cut off."""
        return all(_can_resume(each) and each.is_resumable for each in self._all)

    @property
    def keep_every(self) -> float:
        """The longest of the destinations' own."""
        return max(each.keep_every for each in self._resumable())

    def find_progress(self, run: Run) -> Progress | None:
        """Returns what one earlier attempt kept at all destinations; None when it is not whole at each of them.

        Raises:
            DestinationError: a destination cannot be read.
        """
        found = [each.find_progress(run) for each in self._resumable()]
        whole = [each for each in found if each is not None]
        kept = [_decode(each.state) for each in whole]
        first = kept[0] if kept else None
        # The first destination keeps last, so the others have at least its records, if the attempt is the same.
        if first is None or len(whole) < len(self._all):
            return None
        if not all(
            one and one.attempt == first.attempt and one.count >= first.count for one in kept
        ):
            return None
        rows = min(each.rows for each in whole)
        return Progress(rows, first.state, tuple(whole), max(each.rejected for each in whole))

    def resume(self, run: Run, progress: Progress, rows: int) -> SeveralWriter | None:
        """Opens a writer at each destination after the first ``rows`` records; None where one of them has changed.

        Raises:
            DestinationError: a destination cannot be read or written.
        """
        writers: list[Writer] = []
        try:
            for destination, kept in zip(self._resumable(), progress.place, strict=True):
                wanted = replace(kept, rejected=min(kept.rejected, progress.rejected))
                writer = destination.resume(run, wanted, rows)
                if writer is None:
                    _abort(writers)
                    return None
                writers.append(writer)
        except BaseException:
            _abort(writers)
            raise
        return SeveralWriter(writers)

    def read_kept(self, run: Run, progress: Progress, skip: int, take: int) -> Iterator[Any]:
        """Yields records that were kept by the destination which changes them least."""
        at = self._find_truest()
        return self._resumable()[at].read_kept(run, progress.place[at], skip, take)

    @property
    def kept_form(self) -> KeptForm:
        """That of the destination which changes records least."""
        return find_kept_form(self._all[self._find_truest()])

    def _find_truest(self) -> int:
        ranks = [_FORMS.index(find_kept_form(each)) for each in self._all]
        return ranks.index(min(ranks))

    def _resumable(self) -> list[ResumableDestination]:
        return [each for each in self._all if _can_resume(each)]


class SeveralWriter:
    """Writes to several destinations at once; see the module."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = list(writers)
        self._committed: list[Writer] = []
        self._attempt = secrets.token_hex(8)
        self._kept = 0

    def write(self, records: Sequence[Any]) -> None:
        """Writes ``records`` to each destination in turn.

        Raises:
            DestinationError: a destination refuses them.
        """
        for writer in self._writers:
            writer.write(records)

    def reject(self, records: Sequence[Any]) -> None:
        """Writes rejected records at the first destination that has a place for them.

        Raises:
            DestinationError: the destination refuses them.
        """
        next(each for each in self._writers if isinstance(each, RejectingWriter)).reject(records)

    def commit(self, summary: TransferSummary) -> Output:
        """Commits at the second destination and those after it, then at the first.

        Raises:
            DestinationError: a destination did not commit; its message names those that had.
        """
        first, *others = self._writers
        outputs = [self._commit(writer, summary) for writer in others]
        output = self._commit(first, summary)
        return SeveralOutput(
            **{name: getattr(output, name) for name in Output.__struct_fields__},
            further=tuple(outputs),
        )

    def _commit(self, writer: Writer, summary: TransferSummary) -> Output:
        try:
            output = writer.commit(summary)
        except Exception as error:
            if self._committed:
                _add_committed(error, len(self._committed))
            raise
        self._committed.append(writer)
        return output

    def abort(self) -> None:
        """Drops what was not committed, at every destination; never raises."""
        _abort(self._pending())

    def keep(self, state: bytes) -> None:
        """Keeps the records so far at every destination, at the first one last.

        Raises:
            DestinationError: one cannot keep them, or one has committed; what the first one kept before still counts.
        """
        if self._committed:
            raise DestinationError(
                "A destination has committed, so nothing is kept for another try"
            )
        self._kept += 1
        kept = msgspec.msgpack.encode(_Kept(self._attempt, self._kept, state))
        first, *others = self._writers
        for writer in [*others, first]:
            assert isinstance(writer, ResumableWriter)  # asked for only where all can
            writer.keep(kept)

    def suspend(self) -> None:
        """Ends without a commit: what was kept stays at every destination; never raises."""
        for writer in self._pending():
            with suppress(Exception):
                if isinstance(writer, ResumableWriter):
                    writer.suspend()
                else:
                    writer.abort()

    def _pending(self) -> list[Writer]:
        return [each for each in self._writers if not any(each is one for one in self._committed)]


def _add_committed(error: Exception, count: int) -> None:
    """Adds to ``error``, or to the log where it is not one of ours, that ``count`` destinations had committed before."""
    places = "one destination has" if count == 1 else f"{count} destinations have"
    note = f"Until the next try, {places} records that the first of them does not have."
    if isinstance(error, OAuthTaskflowError):
        error.hint = f"{error.hint} {note}".strip()
    else:
        _log.warning("A destination did not commit, after others had. %s", note)


def _can_resume(destination: Destination) -> TypeGuard[ResumableDestination]:
    return isinstance(destination, ResumableDestination)


def _decode(state: bytes) -> _Kept | None:
    try:
        return msgspec.msgpack.decode(state, type=_Kept)
    except msgspec.MsgspecError:  # of an endpoint that had one destination
        return None


def _abort(writers: Sequence[Writer]) -> None:
    for writer in writers:
        with suppress(Exception):  # of the protocol: abort never raises
            writer.abort()
