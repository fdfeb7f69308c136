"""The progress bar of ``airflow oauth pull``: one line for each endpoint."""

from __future__ import annotations

from typing import Any

from rich.progress import Progress

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.taskflow.dags.local_run import EndpointResult, Observer


class Display:
    """Shows pages and rows, and the finished share of an endpoint.

    A sequence reads the pages of one parent record and window. The number of sequences is known before the first
    request, and their finished share is shown. A single sequence shows its share of the records that the API announces.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._name = ""
        self._line: Any = None
        self._pages = self._rows = self._begun = self._sequences = 0

    @property
    def observer(self) -> Observer:
        """The callbacks for ``run_locally``."""
        return Observer(begin=self.begin, page=self.page)

    def begin(self, name: str, item: str, sequences: int) -> None:
        """Start the line of endpoint ``name``; ``sequences`` is the number over all its tasks."""
        if name != self._name:
            self._name, self._pages, self._rows, self._begun = name, 0, 0, 0
            self._sequences = sequences
            total = sequences if sequences > 1 else None
            self._line = self._bar.add_task(name, total=total, pages=0, rows=0)
        self._bar.update(self._line, description=f"{name} {item}".rstrip())

    def page(self, page: Page) -> None:
        """Count a page; the first page of a sequence ends the previous sequence."""
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

    def end(self, result: EndpointResult) -> None:
        """Mark the line of an endpoint as finished or failed; one that never began has none."""
        if result.name != self._name:
            return
        if result.failure:
            self._bar.update(self._line, description=f"{self._name} failed")
        else:
            self._bar.update(self._line, description=self._name, total=1, completed=1)
