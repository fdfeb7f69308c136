"""Collects all problems of one connection, so that one error reports them together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from oauth_taskflow.errors import ConnectionConfigError

T = TypeVar("T")


class Findings:
    """The problems of one connection in the order of their discovery.

    A problem is left out if an earlier one names its field, or suggests it: it is a consequence.
    """

    def __init__(self) -> None:
        self._problems: list[ConnectionConfigError] = []
        self._blamed: set[str] = set()

    def add(self, problem: ConnectionConfigError, *, meant: str = "") -> None:
        """Keeps ``problem``; ``meant`` is another field that it explains."""
        for each in problem.problems:
            if not each.field or each.field not in self._blamed:
                self._problems.append(each)
        self._blamed |= {each.field for each in problem.problems} | {meant}

    def attempt(self, read: Callable[[], T], instead: T) -> T:
        """Returns the result of ``read``, or ``instead`` if it raises; the error is kept."""
        try:
            return read()
        except ConnectionConfigError as problem:
            self.add(problem)
            return instead

    def blames(self, name: str) -> bool:
        """Whether a problem names the field ``name``, or suggests it."""
        return name in self._blamed

    def __bool__(self) -> bool:
        return bool(self._problems)

    def raise_all(self) -> None:
        """Raises all problems together; returns if there are not any.

        Raises:
            ConnectionConfigError: all problems in one error.
        """
        if self._problems:
            # Causes and contexts of single problems may quote a connection's document.
            raise ConnectionConfigError.all_of(self._problems) from None
