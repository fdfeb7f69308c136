"""A DAG of three endpoints: children read what their parents wrote, and each run replaces what the one before wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oauth_taskflow import build_dag
from tests.api.scripted import Asked, scripted
from tests.taskflow.conftest import RunDag, SetConnection

_SPEC = """\
version: 1
dag_id: family
connection: crm
params: %s
defaults:
  records: data
  destination: %s
endpoints:
  contacts: {request: {path: /contacts}, primary_key: id, destination: %s}
  notes:
    for_each: {contact: {endpoint: contacts, batch: 2}}
    request: {path: "/notes/{{ contact.id }}"}
  details:
    for_each: {note: {endpoint: notes, batch: 4}}
    request: {path: "/details/{{ note.id }}"}
"""


def write_family(folder: Path, destination: str, contacts: str, params: str = "{}") -> Path:
    """Writes the spec, whose connection is ``crm``, and returns its file.

    All arguments are YAML: where all endpoints write to, the options that contacts add to it, and the DAG's params.
    """
    path = folder / "family.yaml"
    path.write_text(_SPEC % (params, destination, contacts))
    return path


class FamilyApi:
    """Contacts, each with two notes, each with one detail."""

    def __init__(self, contacts: int = 5) -> None:
        self.contacts = contacts

    def __call__(self, asked: Asked) -> Any:
        name = asked.path.rpartition("/")[2]
        if asked.path == "/contacts":
            return {"data": [{"id": number} for number in range(self.contacts)]}
        if asked.path.startswith("/notes"):
            return {"data": [{"id": f"{name}-{number}"} for number in range(2)]}
        return {"data": [{"detail": name}]}


def run_family(
    path: Path, set_connection: SetConnection, run_dag: RunDag, counts: Sequence[int]
) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Runs the DAG once for each count of contacts; yields the summary of the grandchildren and their records."""
    api = FamilyApi()
    with scripted(api) as server:
        extra = {"auth_type": "none"}
        set_connection("crm", {"conn_type": "oauth2", "host": server.url, "extra": extra})
        for count in counts:
            api.contacts = count
            run = run_dag(build_dag(path), run_conf={})
            assert run.state == "success"
            done = run.result("details__done")
            assert done["rows"] == count * 2
            yield done, [{"detail": f"{c}-{n}"} for c in range(count) for n in range(2)]
