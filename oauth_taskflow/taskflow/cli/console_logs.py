"""Prints log lines of a command above its progress bar, and keeps them out of its result on standard output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text


class _ConsoleStream:
    """A text stream that prints whole lines through a console, which moves a progress bar out of their way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = ""

    def write(self, text: str) -> int:
        """Print the lines that ``text`` completes."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            # Colours of a log stay; other control sequences are dropped.
            self._console.print(Text.from_ansi(line), soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        """Does nothing: lines are printed when they are complete."""


@contextmanager
def redirect_logs(console: Console) -> Iterator[None]:
    """Makes ``console`` print whatever this process logs to its standard streams inside the block.

    Airflow's commands log to standard output, which is for the result of a command.
    """
    stream_of_console: Any = _ConsoleStream(console)
    changed = [
        (handler, handler.setStream(stream_of_console)) for handler in _find_stream_handlers()
    ]
    try:
        yield
    finally:
        for handler, stream in changed:
            handler.setStream(stream or sys.stderr)


def _find_stream_handlers() -> list[logging.StreamHandler[Any]]:
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
