"""Reading an iterator ahead in a thread, so that fetching and consuming overlap."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextvars import copy_context
from typing import Generic, TypeVar

Item = TypeVar("Item")
_JOIN_SECONDS = 5.0


class _Handover(Generic[Item]):
    """A bounded queue that either side can end."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._done = False
        self._stopped = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> bool:
        """Wait for room; False when the consumer has stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._room)
            self._items.append(item)
            self._changed.notify_all()
            return not self._stopped

    def finish(self, error: BaseException | None) -> None:
        """Nothing more comes; ``error`` is raised in the consumer after the items before it."""
        with self._changed:
            self._done, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Nothing more is wanted."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._done or self._items)
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error


def read_ahead(items: Iterator[Item], room: int) -> Generator[Item, None, None]:
    """``items``, up to ``room`` of them ready and one more in the making in a thread of its own.

    Exceptions come out where the item would have come. When the consumer stops early the thread ends after the
    step it is in, and ``items`` is closed there.
    """
    handover: _Handover[Item] = _Handover(room)

    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not handover.put(item):
                    break
        except BaseException as raised:  # noqa: BLE001 - carried over to the consumer's thread
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            handover.finish(error)

    # The context carries Airflow's secret masking and log settings into the thread.
    thread = threading.Thread(
        target=copy_context().run, args=(produce,), name="oauth-taskflow-ahead", daemon=True
    )
    thread.start()
    try:
        yield from handover
    finally:
        handover.stop()
        thread.join(_JOIN_SECONDS)
