"""A paging style that this file alone adds: a spec uses it, the check looks into it, a run reads its pages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from oauth_taskflow.api.paginators.base import EndsBy, Flaw, PagingOptions
from oauth_taskflow.api.pull.page import PageView
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.schema.types import Count, JmesPath, doc
from tests.api.scripted import Asked, Reply

PAGES = 3


class CountdownPaginator(PagingOptions, frozen=True, kw_only=True, tag="countdown"):
    """Numbered pages, the last one first."""

    pages: Annotated[Count | None, doc("Number of the last page, which is read first.", 3)] = None
    left: Annotated[JmesPath | None, doc("Path of the number of pages left.", "left")] = None

    ends_by: ClassVar[EndsBy] = "count"
    path_options: ClassVar[tuple[str, ...]] = ("more", "last", "left")

    def first_request(self, request: ApiRequest) -> ApiRequest:
        return request.with_param("page", self.pages)

    def next_request(self, request: ApiRequest, page: PageView) -> ApiRequest | None:
        left = page.find(self.left or "left")
        return request.with_param("page", left) if left else None

    def flaws(self, written: Collection[str]) -> Iterator[Flaw]:
        if self.pages is None:
            yield Flaw("incomplete", "pages", "nothing says which page is first", "Write pages: 3.")

    def end_marker(self) -> str | None:
        return "pages"


def answer(asked: Asked) -> Reply:
    """A page of one row, with the number of pages left."""
    number = int(asked.query["page"])
    return Reply({"rows": [{"id": number}], "left": number - 1})


SPEC = """
version: 1
dag_id: countdown
connection: api
endpoints:
  rows:
    request: {path: /rows}
    records: rows
    paginate: {type: countdown, %s}
    destination: {type: file, path: "%s/{{ endpoint }}"}
"""
# The spec format is made of the union when it is loaded, hence a process in which the union has one word more.
ADD_STYLE = """
import sys
from oauth_taskflow.api import paginators
from tests.api.paginators.test_new_style import CountdownPaginator, answer
paginators.Paginate |= CountdownPaginator
from oauth_taskflow.specs.check import check_text
checked = check_text(sys.stdin.read())
"""
PRINT_PROBLEMS = """
for problem in checked.problems:
    print(problem.rule, problem.line, problem.message, sep="|")
"""
RUN_ENDPOINT = """
from datetime import datetime, timezone
from pathlib import Path
from tests.support.auth import bearer_auth
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import scripted
run = EndpointRun(
    name="rows",
    endpoint=checked.spec.endpoints["rows"],
    run_id="manual__1",
    template_context={"endpoint": "rows", "params": {}},
    interval=Interval(None, datetime(2026, 1, 1, tzinfo=timezone.utc)),
    access=StoreAccess(lambda path, conn_id: Path(path)),
)
with scripted(answer) as api, OAuthSession(api.url, bearer_auth("t")) as session:
    summary = run_endpoint(run, session)
print(Path(summary.files[0].path).read_text())
"""


def run_with_style(script: str, spec: str) -> list[str]:
    command = [sys.executable, "-c", ADD_STYLE + script]
    done = subprocess.run(command, input=spec, check=True, capture_output=True, text=True)
    return done.stdout.split("\n")


@pytest.mark.slow
def test_the_check_knows_the_options_of_a_new_style_and_asks_it_for_flaws(tmp_path: Path) -> None:
    spec = SPEC % ("left: 'data['", tmp_path)
    found = [line.split("|") for line in run_with_style(PRINT_PROBLEMS, spec) if line]
    assert sorted((rule, line) for rule, line, _ in found) == [
        ("bad-jmespath", "9"),
        ("paginator-incomplete", "9"),
    ]
    misspelt = run_with_style(PRINT_PROBLEMS, SPEC % ("pagse: 3", tmp_path))
    assert misspelt[0].startswith("unknown-key|9|unknown key 'pagse'")


@pytest.mark.slow
def test_an_endpoint_reads_its_pages_by_a_new_style(tmp_path: Path) -> None:
    lines = run_with_style(RUN_ENDPOINT, SPEC % (f"pages: {PAGES}", tmp_path))
    records: list[Any] = [json.loads(line) for line in lines if line]
    assert records == [{"id": 3}, {"id": 2}, {"id": 1}]
