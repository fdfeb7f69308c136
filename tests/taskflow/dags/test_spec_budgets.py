"""The budgets of a spec hold in the tasks that the DAG factory makes, and in ``airflow oauth pull``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from oauth_taskflow.taskflow.cli.pull import pull
from tests.api.scripted import Asked, scripted
from tests.budgets.crowd import CountingApi
from tests.taskflow.conftest import RunDag, SetConnection

SPEC = """\
version: 1
dag_id: limited
connection: crm
rate_limit:
  - {{requests: 3, per: PT4S}}
  - {{requests: 100, per: P1D}}
defaults:
  records: items
  destination: {{type: file, path: "{folder}/{{{{ endpoint }}}}"}}
endpoints:
  first:
    request: {{path: "/first/{{{{ number }}}}"}}
    for_each: {{number: [1, 2, 3]}}
  second:
    request: {{path: "/second/{{{{ number }}}}"}}
    for_each: {{number: [1, 2, 3]}}
"""


class Items(CountingApi):
    def __call__(self, asked: Asked) -> object:
        return {"items": [super().__call__(asked)]}


@pytest.fixture
def api(set_connection: SetConnection) -> Iterator[CountingApi]:
    counting = Items()
    with scripted(counting) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        yield counting


pytestmark = [pytest.mark.airflow, pytest.mark.slow, pytest.mark.usefixtures("own_store")]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "limited.yaml"
    path.write_text(SPEC.format(folder=tmp_path / "lake"))
    return path


def count_rows(folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.rglob("part-*.jsonl"))


def assert_within_budget(api: CountingApi, store: Path) -> None:
    with create_engine(f"sqlite:///{store}").connect() as connection:
        labels = sorted(
            connection.execute(text("SELECT label FROM oauth_taskflow_budget")).scalars()
        )
    assert len(api.came) == 6
    assert api.most_in_any(4.0) <= 3
    assert labels == ["100 per P1D, name spec:limited@crm", "3 per PT4S, name spec:limited@crm"]


def test_a_spec_s_budgets_hold_in_the_tasks_of_its_dag(
    api: CountingApi, spec: Path, run_dag: RunDag, tmp_path: Path
) -> None:
    from oauth_taskflow import build_dag  # noqa: PLC0415 - Airflow needs its home first

    assert run_dag(build_dag(spec)).state == "success"
    assert_within_budget(api, tmp_path / "tokens.db")
    assert count_rows(tmp_path / "lake") == 6


def test_a_spec_s_budgets_hold_in_a_pull(api: CountingApi, spec: Path, tmp_path: Path) -> None:
    nothing = dict.fromkeys(("endpoint", "set", "since", "until"))
    folder = str(tmp_path / "lake")
    pull(Namespace(spec=str(spec), folder=folder, **nothing, output="table"))
    assert_within_budget(api, tmp_path / "tokens.db")
    assert count_rows(tmp_path / "lake") == 6
