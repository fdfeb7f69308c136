"""Lines to paste that use a stored connection: a decorator for a DAG file, and a spec."""

from __future__ import annotations

import re

_DECORATOR = """\
from airflow.sdk import dag
from oauth_taskflow import OAuthSession, oauth_task


@dag(schedule=None)
def {dag}():
    @oauth_task(conn_id={conn_id})
    def pull(session: OAuthSession):
        return session.get("/").json()

    pull()


{dag}()
"""
_SPEC = """\
version: 1
dag_id: {dag}
schedule: null
start_date: 2026-01-01
connection: {conn_id}
endpoints:
  records:
    request: {{path: /}}
    records: "@"
    destination: {{type: file, path: "{dag}/{{{{ endpoint }}}}", format: jsonl}}
"""


def write_decorator_lines(conn_id: str) -> str:
    """Returns a DAG file with one ``@oauth_task`` that asks the API of the connection."""
    return _DECORATOR.format(conn_id=_quote(conn_id), dag=_name_dag(conn_id))


def write_spec_lines(conn_id: str) -> str:
    """Returns a spec with one endpoint of the API of the connection."""
    return _SPEC.format(conn_id=_quote(conn_id), dag=_name_dag(conn_id))


def _name_dag(conn_id: str) -> str:
    """Returns a name for a DAG and for a Python function."""
    return "pull_" + re.sub(r"\W", "_", conn_id, flags=re.ASCII).lower()


def _quote(text: str) -> str:
    """Returns ``text`` between quotes, as Python and YAML both read it: stored ids may hold quotes and line ends."""
    plain = (
        each if each.isprintable() and each not in '"\\' else f"\\U{ord(each):08x}" for each in text
    )
    return f'"{"".join(plain)}"'
