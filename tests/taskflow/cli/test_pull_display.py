"""The progress bar of ``airflow oauth pull``, read from the terminal output."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.taskflow.cli.pull_display import Display
from oauth_taskflow.taskflow.dags.local_run import EndpointResult


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
    display.end(EndpointResult("notes"))
    assert bar.tasks[0].finished


def test_an_endpoint_that_failed_is_not_shown_as_finished() -> None:
    bar = Progress(disable=True)
    display = Display(bar)
    display.begin("contacts", "", 1)
    display.end(EndpointResult("contacts", failure="HTTP 404"))
    display.end(EndpointResult("notes", failure="Not pulled, because contacts was not."))
    (line,) = bar.tasks
    assert (line.description, line.finished) == ("contacts failed", False)
