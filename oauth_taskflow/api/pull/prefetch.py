"""Reading iterators ahead in threads, so that fetching and consuming overlap."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from contextvars import copy_context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Tag = TypeVar("Tag")
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


class ReadAhead(Generic[Item]):
    """``items``, read by a thread that starts at once and keeps at most ``room`` ready and one more in the making.

    Exceptions come out where the item would have come. After ``close`` the thread ends with the step it is in, and
    ``items`` is closed there.
    """

    def __init__(self, items: Iterator[Item], room: int) -> None:
        self._items = items
        self._handover: _Handover[Item] = _Handover(room)
        # The context carries Airflow's secret masking and log settings into the thread.
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self._produce,),
            name="oauth-taskflow-ahead",
            daemon=True,
        )
        self._thread.start()

    def _produce(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._handover.put(item):
                    break
        except BaseException as raised:  # noqa: BLE001 - carried over to the consumer's thread
            error = raised
        finally:
            _close(self._items)
            self._handover.finish(error)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._handover)

    def stop(self) -> None:
        """Nothing more is wanted; does not wait for the thread."""
        self._handover.stop()

    def close(self) -> None:
        """Stop, and wait some seconds for the thread to end."""
        self.stop()
        self._thread.join(_JOIN_SECONDS)


def read_ahead(items: Iterator[Item], room: int) -> Generator[Item, None, None]:
    """``items`` by way of ``ReadAhead``, whose thread starts when the first is asked for."""
    with closing(ReadAhead(items, room)) as ahead:
        yield from ahead


def read_several_ahead(
    sources: Iterable[tuple[Tag, Iterator[Item]]], width: int, room: int = 1
) -> Generator[tuple[Tag, Iterable[Item]], None, None]:
    """``sources`` in order, each with its tag, while the ``width - 1`` after it are already being read.

    A source must be used up before the next one is asked for. Each holds at most ``room`` items and one in the making.
    """
    waiting: deque[tuple[Tag, ReadAhead[Item]]] = deque()
    try:
        for tag, items in sources:
            waiting.append((tag, ReadAhead(items, room)))
            if len(waiting) == width:
                yield waiting[0]
                waiting.popleft()
        while waiting:
            yield waiting[0]
            waiting.popleft()
    finally:
        for _, ahead in waiting:
            ahead.stop()
        for _, ahead in waiting:
            ahead.close()


def _close(items: object) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        close()
