"""What one endpoint run did, as XCom, asset event, log line and table row show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.engine.doubts import Warnings


class WrittenFile(Struct, frozen=True, omit_defaults=True):
    """One committed file with its number of records and bytes; ``host`` names the machine whose disk it is on."""

    path: str
    rows: int
    bytes: int
    host: str = ""


class Summary(Struct, frozen=True, omit_defaults=True):
    """Figures of one run of one endpoint.

    ``sequences`` counts the page sequences (one per window and parent record), ``bytes`` what was written and
    ``received_bytes`` what the API sent; ``seconds`` is wall time. ``conn_id`` is the connection of the object store,
    ``duplicates`` counts records dropped by primary key, ``watermark`` is the highest value of the incremental field
    and ``interval`` the span that was read (ISO 8601; an empty start means from the beginning). ``map_index`` is that
    of a mapped instance; ``token_refreshes`` counts those that this process caused. ``warnings``
    are doubts about the result, for people.
    """

    endpoint: str
    rows: int
    pages: int
    sequences: int
    bytes: int
    received_bytes: int
    seconds: float
    files: list[WrittenFile]
    manifest: str
    conn_id: str | None = None
    duplicates: int = 0
    watermark: str | int | float | None = None
    interval: list[str] | None = None
    map_index: int = -1
    token_refreshes: int = 0
    warnings: list[str] = []

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for XCom and events."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class Total(Struct, frozen=True):
    """Figures of all instances of a mapped endpoint together; ``seconds`` adds up their times, ``tasks`` counts them."""

    endpoint: str
    tasks: int
    rows: int
    pages: int
    sequences: int
    bytes: int
    received_bytes: int
    seconds: float
    duplicates: int
    token_refreshes: int
    watermark: str | int | float | None
    interval: list[str] | None
    files: list[WrittenFile]
    conn_id: str | None
    warnings: list[str] = []


def total(endpoint: str, summaries: Sequence[Summary]) -> Total:
    """The figures of ``summaries`` added up; the watermark is the highest.

    Raises:
        InvalidRecord: the watermarks are of different kinds.
    """
    watermark = Watermark("watermark", missing="include")
    warnings = Warnings()
    for text in (text for summary in summaries for text in summary.warnings):
        warnings(text)
    watermark.update([{"watermark": summary.watermark} for summary in summaries])
    return Total(
        endpoint=endpoint,
        tasks=len(summaries),
        rows=sum(summary.rows for summary in summaries),
        pages=sum(summary.pages for summary in summaries),
        sequences=sum(summary.sequences for summary in summaries),
        bytes=sum(summary.bytes for summary in summaries),
        received_bytes=sum(summary.received_bytes for summary in summaries),
        seconds=round(sum(summary.seconds for summary in summaries), 3),
        duplicates=sum(summary.duplicates for summary in summaries),
        token_refreshes=sum(summary.token_refreshes for summary in summaries),
        watermark=watermark.value,
        interval=summaries[0].interval if summaries else None,
        files=[file for summary in summaries for file in summary.files],
        conn_id=summaries[0].conn_id if summaries else None,
        warnings=warnings.texts(),
    )
