"""The progress bar of ``airflow oauth pull``, read from the terminal output."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.taskflow.cli.pull_display import Display


def page(rows: int, index: int, total: int | None = None) -> Page:
    return Page([{}] * rows, 2, "https://api.example.com/", index, total)


@pytest.mark.parametrize(("total", "share"), [(400, 50), (None, None), (100, 100)])
def test_a_single_sequence_shows_its_share_of_the_announced_records(
    total: int | None, share: int | None
) -> None:
    bar = Progress(disable=True)
    display = Display(bar)
    display.begin("contacts", "", 1)
    for index in range(2):
        display.page(page(100, index, total))
    (line,) = bar.tasks
    assert (line.fields["pages"], line.fields["rows"]) == (2, 200)
    assert (line.percentage if line.total else None) == share


def test_several_sequences_show_their_finished_share() -> None:
    bar = Progress(disable=True)
    display = Display(bar)
    display.begin("notes", "contact 1", 4)
    for index in (0, 1, 0):
        display.page(page(10, index, 15))
    assert [(line.completed, line.total) for line in bar.tasks] == [(1, 4)]
    display.end()
    assert bar.tasks[0].finished
