"""Takes the records that stages reject, and describes each with its reason: the way to a quarantine file."""

from __future__ import annotations

from typing import Any

import msgspec

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.errors import InvalidRecord


class Quarantine:
    """The rejected records of one attempt: ``rows`` counts them, and those of the current page wait for the writer.

    More than ``most`` records fail the run.
    """

    def __init__(self, endpoint: str, most: int | None = None) -> None:
        self._endpoint = endpoint
        self._most = most
        self._waiting: list[msgspec.Raw] = []
        self.rows = 0

    def add(self, record: Any, reason: str, path: str, url: str) -> None:
        """Takes a record as it came to the stage, undecoded or as Python values; ``url`` is redacted.

        Raises:
            InvalidRecord: there are too many.
        """
        self.rows += 1
        if self._most is not None and self.rows > self._most:
            raise InvalidRecord(
                f"More than {self._most:,} records were rejected, the last one because {reason[:1].lower()}{reason[1:]}",
                where=f"at {url}",
                hint="See whether the API changed; quarantine.max_records is the limit.",
            )
        described = {"reason": reason, "path": path or None, "url": url, "endpoint": self._endpoint}
        content = record if isinstance(record, msgspec.Raw) else msgspec.Raw(encode(record))
        self._waiting.append(msgspec.Raw(encode({**described, "record": content})))

    def take(self) -> list[msgspec.Raw]:
        """Returns the descriptions of those that wait, as JSON on one line each; they wait no longer."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def restore(self, rows: int) -> None:
        """Takes the number of records that earlier attempts rejected."""
        self.rows, self._waiting = rows, []
