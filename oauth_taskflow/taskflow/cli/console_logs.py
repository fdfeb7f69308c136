"""Log lines of a command beside its progress bar and its result: above the one, and never in the other."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text


class _ConsoleStream:
    """A text stream whose whole lines are printed by a console, which moves a progress bar out of their way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = ""

    def write(self, text: str) -> int:
        """Print the lines that ``text`` completes."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            # Colours of a log stay; what else a terminal would obey is dropped on the way.
            self._console.print(Text.from_ansi(line), soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        """Nothing: lines are printed when they are whole."""


@contextmanager
def redirect_logs(console: Console) -> Iterator[None]:
    """Everything that this process logs to its standard streams is printed by ``console`` while this lasts.

    Airflow's commands log to standard output, where the result of a command goes.
    """
    through: Any = _ConsoleStream(console)
    changed = [(handler, handler.setStream(through)) for handler in _handlers_on_streams()]
    try:
        yield
    finally:
        for handler, stream in changed:
            handler.setStream(stream or sys.stderr)


def _handlers_on_streams() -> list[logging.StreamHandler[Any]]:
    standard = {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}
    known = [logging.root, *logging.root.manager.loggerDict.values()]
    found = (handler for logger in known for handler in getattr(logger, "handlers", ()))
    unique = dict.fromkeys(found)
    return [
        handler
        for handler in unique
        if isinstance(handler, logging.StreamHandler)
        # logging.lastResort looks its stream up at each line, and takes no other.
        and not isinstance(getattr(type(handler), "stream", None), property)
        and handler.stream in standard
    ]
