"""Writes the same DAGs three times: as our specs, as dag-factory's YAML, and as Python files.

Three endpoints each, of which one repeats over a list of regions or, in every third DAG, over a parent's records.
Names, paths, cron minutes, paging styles and texts differ from DAG to DAG.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_NOUNS = (
    ("contacts", "notes", "deals"),
    ("orders", "refunds", "products"),
    ("tickets", "comments", "agents"),
    ("invoices", "payments", "customers"),
    ("issues", "worklogs", "boards"),
)
_PAGING = (
    "{type: cursor, next: paging.next.after, param: after, size: 200, size_param: limit}",
    "{type: page, size: 100, size_param: per_page, total_pages: meta.pages}",
    "{type: offset, size: 250, total: total_entries}",
    "{type: next_url, next: links.next}",
    "{type: link}",
)


@dataclass(frozen=True)
class Sample:
    """The facts that differ from one DAG to the next."""

    number: int

    @property
    def dag_id(self) -> str:
        """Id of the DAG."""
        return f"source_{self.number:04d}"

    @property
    def nouns(self) -> tuple[str, str, str]:
        """Names of the endpoints."""
        return _NOUNS[self.number % len(_NOUNS)]

    @property
    def has_parent(self) -> bool:
        """Whether the second endpoint repeats over the records of the first, instead of over regions."""
        return self.number % 3 == 0


def write_specs(folder: Path, count: int, *, named_alike: bool = True) -> None:
    """``count`` specs; ``named_alike`` calls each file after its DAG."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        sample = Sample(number)
        stem = sample.dag_id if named_alike else f"file_{count - number:04d}"
        (folder / f"{stem}.yaml").write_text(_spec(sample), encoding="utf-8")


def write_dag_factory(folder: Path, count: int) -> None:
    """``count`` files in dag-factory's format."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        sample = Sample(number)
        (folder / f"{sample.dag_id}.yaml").write_text(_dag_factory(sample), encoding="utf-8")


def write_python(folder: Path, count: int) -> None:
    """``count`` DAG files written by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        sample = Sample(number)
        (folder / f"{sample.dag_id}.py").write_text(_python(sample), encoding="utf-8")


def _spec(sample: Sample) -> str:
    first, second, third = sample.nouns
    over = f"record: {first}" if sample.has_parent else "region: [eu, us, apac]"
    path = (
        f"/v3/{first}/{{{{ record.id }}}}/{second}"
        if sample.has_parent
        else f"/v3/{{{{ region }}}}/{second}"
    )
    return f"""\
version: 1
dag_id: {sample.dag_id}
description: Records of source number {sample.number}
schedule: "{sample.number % 60} {sample.number % 24} * * *"
start_date: 2026-01-01
tags: [source, team_{sample.number % 7}]
params: {{output: "s3://lake/source_{sample.number}"}}
default_args: {{owner: team_{sample.number % 7}, retries: 3, retry_delay: PT5M}}
connection: source_{sample.number}
defaults:
  request: {{params: {{fields: "id,name,updated_at,tenant_{sample.number}"}}, headers: {{Accept: application/json}}}}
  rate_limit: {{requests: {50 + sample.number % 50}, per: PT1M}}
  destination: {{type: file, path: "{{{{ params.output }}}}/{{{{ endpoint }}}}", format: jsonl.gz}}
endpoints:
  {first}:
    description: All {first} changed in the interval
    request:
      path: /v3/{first}
      params: {{updated_since: "{{{{ window.start }}}}", updated_before: "{{{{ window.end }}}}"}}
    records: data.items
    primary_key: id
    paginate: {_PAGING[sample.number % len(_PAGING)]}
    incremental: {{field: updated_at, start: 2025-01-01, step: P7D, lookback: PT1H}}
  {second}:
    for_each: {{{over}}}
    request: {{path: "{path}"}}
    records: results
    responses:
      - {{status: 404, action: skip}}
  {third}:
    request: {{path: /v3/{third}, params: {{day: "{{{{ ds }}}}"}}}}
    records: data
    paginate: {_PAGING[(sample.number + 1) % len(_PAGING)]}
"""


def _dag_factory(sample: Sample) -> str:
    first, second, third = sample.nouns
    operator = "airflow.providers.http.operators.http.HttpOperator"
    fields = f"id,name,updated_at,tenant_{sample.number}"
    over = f"data: {first}.output" if sample.has_parent else "data: [{r: eu}, {r: us}, {r: apac}]"
    after = f"\n      dependencies: [{first}]" if sample.has_parent else ""
    return f"""\
{sample.dag_id}:
  description: Records of source number {sample.number}
  schedule: "{sample.number % 60} {sample.number % 24} * * *"
  catchup: false
  tags: [source, team_{sample.number % 7}]
  params: {{output: "s3://lake/source_{sample.number}"}}
  default_args:
    start_date: 2026-01-01
    owner: team_{sample.number % 7}
    retries: 3
    retry_delay_sec: 300
  tasks:
    - task_id: {first}
      operator: {operator}
      http_conn_id: source_{sample.number}
      method: GET
      endpoint: /v3/{first}
      data: {{fields: "{fields}", updated_since: "{{{{ data_interval_start }}}}"}}
      headers: {{Accept: application/json}}
    - task_id: {second}
      operator: {operator}
      partial:
        http_conn_id: source_{sample.number}
        method: GET
        endpoint: /v3/{second}
        headers: {{Accept: application/json}}
      expand:
        {over}{after}
    - task_id: {third}
      operator: {operator}
      http_conn_id: source_{sample.number}
      method: GET
      endpoint: /v3/{third}
      data: {{fields: "{fields}", day: "{{{{ ds }}}}"}}
      headers: {{Accept: application/json}}
"""


def _python(sample: Sample) -> str:
    first, second, third = sample.nouns
    fields = f"id,name,updated_at,tenant_{sample.number}"
    over = f"{first}.output" if sample.has_parent else '[{"r": "eu"}, {"r": "us"}, {"r": "apac"}]'
    return f"""\
from datetime import datetime, timedelta

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG

with DAG(
    "{sample.dag_id}",
    description="Records of source number {sample.number}",
    schedule="{sample.number % 60} {sample.number % 24} * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["source", "team_{sample.number % 7}"],
    params={{"output": "s3://lake/source_{sample.number}"}},
    default_args={{"owner": "team_{sample.number % 7}", "retries": 3, "retry_delay": timedelta(minutes=5)}},
) as dag:
    {first} = HttpOperator(
        task_id="{first}",
        http_conn_id="source_{sample.number}",
        method="GET",
        endpoint="/v3/{first}",
        data={{"fields": "{fields}", "updated_since": "{{{{ data_interval_start }}}}"}},
        headers={{"Accept": "application/json"}},
    )
    {second} = HttpOperator.partial(
        task_id="{second}",
        http_conn_id="source_{sample.number}",
        method="GET",
        endpoint="/v3/{second}",
        headers={{"Accept": "application/json"}},
    ).expand(data={over})
    {third} = HttpOperator(
        task_id="{third}",
        http_conn_id="source_{sample.number}",
        method="GET",
        endpoint="/v3/{third}",
        data={{"fields": "{fields}", "day": "{{{{ ds }}}}"}},
        headers={{"Accept": "application/json"}},
    )
"""
