"""One partition of a run that begins at a stored watermark: where it begins, and how far it came."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from msgspec import Struct

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.dates import UnreadableDate
from oauth_taskflow.engine.reach import Reach
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.redaction import REDACTED
from oauth_taskflow.specs.export_cursor import CursorPlace
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Incremental
from oauth_taskflow.templates.references import parse_template
from oauth_taskflow.watermarks.state import (
    Value,
    WatermarkState,
    fingerprint,
    keep_some,
    to_stored,
)


class SavedPosition(Struct, frozen=True, array_like=True):
    """One partition as an attempt that was cut off left it.

    ``base`` and ``reach`` are JSON: its integers have any number of digits. ``known`` are fingerprints of the records at the
    end of the run before that have not come again yet.
    """

    partition: str
    base: str
    reach: str
    cursor: str | None
    known: list[str]
    has_pages: bool
    has_restarted: bool

    def read_base(self) -> WatermarkState:
        """Returns where the attempt began to read.

        Raises:
            ValueError: it is damaged.
        """
        return WatermarkState.from_text(self.base)


class Position:
    """One partition in one run: where reading begins, and what was seen so far.

    ``endpoint`` is what is read: that of a first run while nothing is stored; ``moment`` is the run's own.
    """

    def __init__(
        self,
        partition: str,
        base: WatermarkState,
        options: Incremental,
        endpoint: Endpoint,
        moment: datetime,
    ) -> None:
        self.partition = partition
        self.base = base
        self.endpoint = endpoint
        self._cursor = options.cursor
        self._reach = None if options.field is None else Reach(options, moment)
        self._form = options.field_format
        self._volatile = find_volatile_fields(endpoint)
        self._known = Counter(base.at_value)
        self._is_at_base = lru_cache(maxsize=256)(self._find_whether_at_base)
        self._next_cursor: str | None = None
        self._has_pages = self._has_restarted = False
        self._base_text = ""

    @property
    def names(self) -> dict[str, Any]:
        """The names below ``watermark`` in templates; those without a value are left out, and all after a restart."""
        if self._has_restarted:
            return {}
        known = {"value": self.base.value, "cursor": self.base.cursor}
        return {name: value for name, value in known.items() if value is not None}

    def restart(self, first: Endpoint) -> None:
        """Notes that everything is read again by ``first``, records at the end of the run before included."""
        self._known = Counter()
        self.endpoint = first
        self._has_restarted = True

    def save(self) -> SavedPosition:
        """Returns where this partition began, and how far it came."""
        self._base_text = self._base_text or self.base.to_text()
        return SavedPosition(
            self.partition,
            self._base_text,
            "" if self._reach is None else self._reach.save(),
            self._next_cursor,
            [*self._known.elements()],
            self._has_pages,
            self._has_restarted,
        )

    def restore(self, saved: SavedPosition, first: Endpoint) -> None:
        """Goes on from what ``save`` returned; ``first`` is as in ``restart``.

        Raises:
            InvalidRecord: the value is unreadable.
            ValueError: it is damaged.
        """
        if self._reach is not None:
            self._reach.restore(saved.reach)
        self._next_cursor = saved.cursor
        self._known = Counter(saved.known)
        self._has_pages = saved.has_pages
        if saved.has_restarted:
            self.restart(first)

    def process(self, records: list[Any], page: Page) -> list[Any]:
        """Takes the values of a page, and returns its records without those that the run before had at its end.

        Raises:
            InvalidRecord: the incremental field is absent, unreadable or of another kind.
        """
        self._has_pages = True
        if self._cursor is not None:
            self._next_cursor = _find_cursor(page.found, self._cursor)
        if self._reach is None:
            return records
        values = self._reach.add(records, self._volatile)
        if not self._known:
            return records
        return [
            record
            for record, value in zip(records, values, strict=True)
            if not self._is_at_base(value) or not self._takes_known(record)
        ]

    def _takes_known(self, record: Any) -> bool:
        """Whether the run before had ``record``; without a primary key as often as it had it, as equal records are several."""
        mark = fingerprint(record, self._volatile)
        if not self._known[mark]:
            return False
        if self.endpoint.primary_key is None:
            self._known[mark] -= 1
        return True

    def _find_whether_at_base(self, value: Any) -> bool:
        try:
            return self.base.value is not None and to_stored(value, self._form) == self.base.value
        except UnreadableDate:
            return False

    @property
    def value(self) -> Value | None:
        """The value at which the next run begins, as the API wrote it."""
        return None if self._reach is None else self._reach.value

    def describe_rest(self) -> str | None:
        """Returns a warning where records come again in the next run although none changed; see ``Reach``."""
        return None if self._reach is None else self._reach.describe_rest()

    def find_reached(self) -> WatermarkState:
        """Returns how far this run came.

        Raises:
            InvalidRecord: the last page has no cursor for the next run, or an unreadable one.
        """
        value = to_stored(self.value, self._form)
        cursor = self._require_cursor() if self._cursor is not None and self._has_pages else None
        marks = () if self._reach is None else keep_some(self._reach.marks)
        return WatermarkState(value, cursor, marks)

    def _require_cursor(self) -> str:
        if self._next_cursor is None:
            place = self._cursor
            path = place.path if isinstance(place, CursorPlace) else place
            param = place.param if isinstance(place, CursorPlace) else None
            raise InvalidRecord(
                f"The last page has no cursor for the next run at {path!r}"
                + (f", parameter {param!r}" if param is not None else ""),
                hint="Correct incremental.cursor; or let paginate go on to the page that has it.",
            )
        if REDACTED in self._next_cursor:
            raise InvalidRecord(
                "The cursor for the next run holds a secret of the connection, and it would be stored",
                hint="Write incremental.cursor: {path: …, param: …}, so that one parameter of the link is kept.",
            )
        return self._next_cursor


def _find_cursor(found: Any, place: CursorPlace | str) -> str | None:
    """Returns the cursor in what a page has at ``place``; None without one."""
    if found is not None and isinstance(place, CursorPlace) and place.param is not None:
        # Not urlsplit: it refuses a broken host, which does not matter here.
        query = parse_qs(str(found).partition("#")[0].partition("?")[2])
        found = next(iter(query.get(place.param, ())), None)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        return None
    return str(found)


def find_volatile_fields(endpoint: Endpoint) -> frozenset[str]:
    """Returns the fields that ``fields.set`` fills from the run, such as ``{{ now }}``: they differ from run to run."""
    if endpoint.fields is None:
        return frozenset()
    return frozenset(
        path.partition(".")[0].lower().replace("_", "")
        for path, value in endpoint.fields.set.items()
        if isinstance(value, str)
        and any(name != "record" for name, _ in parse_template(value).references)
    )
