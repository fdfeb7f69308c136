"""Spec files for tests, and the names of what a small one makes."""

from __future__ import annotations

from pathlib import Path

GOOD = """\
version: 1
dag_id: {dag_id}
schedule: {schedule}
start_date: 2026-01-01
connection: crm
default_args: {{owner: data, retries: 2, retry_delay: PT5M, execution_timeout: PT1H}}
defaults:
  records: data
  destination: {{type: file, path: "{folder}/{{{{ dag_id }}}}/{{{{ endpoint }}}}"}}
endpoints:
  countries:
    description: Every country
    request: {{path: /countries}}
  airports:
    for_each: {{nation: {{endpoint: countries, batch: 100}}}}
    request: {{path: "/countries/{{{{ nation.code }}}}/airports"}}
    paginate: {{type: page, size: 1000, size_param: per_page, total_pages: meta.pages}}
    task: {{pool: api, retries: 5}}
  regions:
    for_each: {{country: [AT, NZ]}}
    request: {{path: /offset/airports, params: {{country: "{{{{ country }}}}"}}}}
    paginate: {{type: offset, size: 100, total: total_entries}}
"""


def write_spec(
    folder: Path, dag_id: str = "crm", *, name: str = "", schedule: str = "null"
) -> Path:
    """A spec with a plain endpoint, one repeated over its records and one repeated over a list."""
    path = folder / f"{name or dag_id}.yaml"
    text = GOOD.format(dag_id=dag_id, schedule=schedule, folder=folder / "out")
    path.write_text(text)
    return path
