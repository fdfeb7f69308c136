"""Options that tables of several kinds have, and whose rows a table holds."""

from __future__ import annotations

from typing import Annotated, Literal

from oauth_taskflow.destinations.base import TemplateRenderer
from oauth_taskflow.schema.types import doc

Mode = Literal["append", "replace_run", "merge"]
RunMode = Annotated[
    Mode,
    doc(
        "replace_run replaces the rows of this run and task instance, append does so too but is meant for runs that never "
        "come again, merge updates by primary_key.",
        "merge",
    ),
]
ColumnPrefix = Annotated[
    str,
    doc(
        "Begins the names of the technical columns: _dag_id, _endpoint, _run_id, _map_index.",
        "load_",
        max_length=30,
    ),
]


def find_owner(render: TemplateRenderer) -> tuple[str, str]:
    """Returns the DAG and the endpoint whose rows a run writes; empty outside a DAG."""
    dag_id, endpoint = (
        render(f'{{{{ {name} | default("") }}}}') for name in ("dag_id", "endpoint")
    )
    return dag_id, endpoint


def distinguish_rows(table: str, mode: Mode) -> str:
    """Returns the address of the rows of an endpoint in ``table``: those of several may be in it, unless they are merged."""
    return table if mode == "merge" else f"{table}|{{{{ dag_id }}}}|{{{{ endpoint }}}}"
