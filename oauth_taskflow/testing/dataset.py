"""The rows behind the API: every airport of the ``airportsdata`` package (MIT licence), about 28,000.

A row is an airport as the package has it (``icao``, ``iata``, ``name``, ``city``, ``subd``, ``country``, ``elevation``,
``lat``, ``lon``, ``tz``, ``lid``) plus ``updated_at``, an RFC 3339 UTC time within 2025 and 2026. That one is
**synthetic**: derived from a hash of the ICAO code, so that it never changes between runs, machines and releases.
Rows are in the order of their ICAO codes and are encoded to JSON once.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache, lru_cache

import msgspec

_FIRST_UPDATE = datetime(2025, 1, 1, tzinfo=timezone.utc)
_SPAN_SECONDS = 730 * 24 * 3600


def synthetic_updated_at(icao: str) -> str:
    """The made-up time of last change of an airport, such as ``2025-06-01T12:00:00Z``."""
    seconds = zlib.crc32(icao.encode()) % _SPAN_SECONDS
    return (_FIRST_UPDATE + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Rows:
    """Airports in order of ICAO code: what a filter left over, encoded."""

    icao: tuple[str, ...] = field(repr=False)
    country: tuple[str, ...] = field(repr=False)
    updated_at: tuple[str, ...] = field(repr=False)
    encoded: tuple[bytes, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.icao)

    def page(self, start: int, size: int) -> bytes:
        """``size`` rows from ``start`` on as a JSON list."""
        return b"[" + b",".join(self.encoded[start : start + size]) + b"]"

    def one(self, icao: str) -> bytes | None:
        """The row of one airport."""
        position = bisect_left(self.icao, icao)
        found = position < len(self.icao) and self.icao[position] == icao
        return self.encoded[position] if found else None


_loading = threading.Lock()


def airports() -> Rows:
    """All airports. The first call takes about half a second; all servers of the process share the rows."""
    # A burst of first requests would else build the rows once per thread, and answer after seconds.
    with _loading:
        return _airports()


@cache
def _airports() -> Rows:
    # Imported here: most users of the authorization server never ask for an airport.
    import airportsdata  # noqa: PLC0415

    rows = sorted(airportsdata.load("ICAO").items())
    updated = tuple(synthetic_updated_at(icao) for icao, _ in rows)
    encode = msgspec.json.Encoder().encode
    return Rows(
        icao=tuple(icao for icao, _ in rows),
        country=tuple(row["country"] for _, row in rows),
        updated_at=updated,
        encoded=tuple(
            encode({**row, "updated_at": at}) for (_, row), at in zip(rows, updated, strict=True)
        ),
    )


@lru_cache(maxsize=256)
def select(country: str, since: str, before: str) -> Rows:
    """Airports of one country (all when empty) with ``since <= updated_at < before`` (no bound when empty)."""
    everything = airports()
    if not (country or since or before):
        return everything
    kept = [
        position
        for position, at in enumerate(everything.updated_at)
        if since <= at
        and (not before or at < before)
        and (not country or everything.country[position] == country)
    ]
    return Rows(
        icao=tuple(everything.icao[i] for i in kept),
        country=tuple(everything.country[i] for i in kept),
        updated_at=tuple(everything.updated_at[i] for i in kept),
        encoded=tuple(everything.encoded[i] for i in kept),
    )


@cache
def countries() -> bytes:
    """The country codes with their numbers of airports as a JSON list of ``{"code", "airports"}``."""
    counts: dict[str, int] = {}
    for code in airports().country:
        counts[code] = counts.get(code, 0) + 1
    return msgspec.json.encode(
        [{"code": code, "airports": counts[code]} for code in sorted(counts)]
    )


def canonical_time(text: str) -> str:
    """``text`` (RFC 3339 time or date, UTC when it names no zone) in the form of ``updated_at``.

    Raises:
        ValueError: it is neither.
    """
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    at = at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)
    # Fractions round up: for whole-second rows, "since 0.5" and "before 0.5" both mean second 1.
    at += timedelta(microseconds=-at.microsecond % 1_000_000)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
