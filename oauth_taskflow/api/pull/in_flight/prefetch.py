"""Reads iterators ahead in threads, so that fetching and consuming overlap."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
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
        """Waits for room and adds ``item``; returns False when the consumer has stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._room)
            self._items.append(item)
            self._changed.notify_all()
            return not self._stopped

    def finish(self, error: BaseException | None) -> None:
        """Marks the end of the items; ``error`` is raised in the consumer after the items before it."""
        with self._changed:
            self._done, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Makes the producer stop, and drops the items that wait."""
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
    """Reads ``items`` in a thread that starts at once, at most ``room`` items ahead and one more in progress.

    An exception is raised in the place of the item. After ``close`` the thread ends with its current step and closes
    ``items``.
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
        """Makes the thread stop, without waiting for it."""
        self._handover.stop()

    def close(self) -> None:
        """Stops, and waits up to five seconds for the thread to end."""
        self.stop()
        self._thread.join(_JOIN_SECONDS)


def read_ahead(items: Iterator[Item], room: int) -> Generator[Item, None, None]:
    """Yields ``items`` through ``ReadAhead``, whose thread starts with the first item."""
    with closing(ReadAhead(items, room)) as ahead:
        yield from ahead


def read_several_ahead(
    sources: Iterable[tuple[Tag, Iterator[Item]]],
    width: int | Callable[[], int],
    room: int = 1,
) -> Generator[tuple[Tag, Iterable[Item]], None, None]:
    """Yields ``sources`` in order, each with its tag, while threads already read the next ``width - 1`` sources.

    A source must be exhausted before the next one is requested. Each holds at most ``room`` items and one in progress.
    ``width`` may change: it is asked for before each item.
    """
    waiting: deque[tuple[Tag, ReadAhead[Item]]] = deque()
    following = iter(sources)

    def start_more() -> None:
        most = width if isinstance(width, int) else width()
        while len(waiting) < most:
            source = next(following, None)
            if source is None:
                return
            waiting.append((source[0], ReadAhead(source[1], room)))

    try:
        start_more()
        while waiting:
            tag, ahead = waiting[0]
            yield tag, _call_before_each(ahead, start_more)
            waiting.popleft()
            start_more()
    finally:
        for _, ahead in waiting:
            ahead.stop()
        for _, ahead in waiting:
            ahead.close()


def _call_before_each(items: Iterable[Item], call: Callable[[], None]) -> Iterator[Item]:
    for item in items:
        call()
        yield item


def _close(items: object) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        close()
