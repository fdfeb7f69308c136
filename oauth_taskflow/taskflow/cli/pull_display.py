"""The progress bar of ``airflow oauth pull``: one line for each endpoint."""

from __future__ import annotations

from typing import Any

from rich.progress import Progress

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.taskflow.dags.local_run import Observer


class Display:
    """Shows pages and rows, and how much of an endpoint is done.

    A sequence is what is read for one parent record and window; how many there are is known before the first request,
    and their share is shown. A lone sequence shows its share of the records that the API announces.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._name = ""
        self._line: Any = None
        self._pages = self._rows = self._begun = self._sequences = 0

    @property
    def observer(self) -> Observer:
        """What ``run_locally`` reports to."""
        return Observer(begin=self.begin, page=self.page)

    def begin(self, name: str, item: str, sequences: int) -> None:
        """A task of endpoint ``name`` begins; ``sequences`` are those of all its tasks."""
        if name != self._name:
            self._name, self._pages, self._rows, self._begun = name, 0, 0, 0
            self._sequences = sequences
            total = sequences if sequences > 1 else None
            self._line = self._bar.add_task(name, total=total, pages=0, rows=0)
        self._bar.update(self._line, description=f"{name} {item}".rstrip())

    def page(self, page: Page) -> None:
        """Another page came; the first of a sequence ends the one before."""
        self._pages += 1
        self._rows += page.count
        self._begun += page.index == 0
        self._bar.update(self._line, pages=self._pages, rows=self._rows)
        if self._sequences > 1:
            self._bar.update(self._line, completed=max(self._begun - 1, 0))
        elif page.total:
            # A total may have grown, or have been too low.
            total = max(page.total, self._rows)
            self._bar.update(self._line, total=total, completed=self._rows)

    def end(self) -> None:
        """The endpoint is done."""
        if self._line is not None:
            self._bar.update(self._line, description=self._name, total=1, completed=1)
