"""DAGs of the workers, which read an API slowly and log where and how warm they began; and the specs in this folder."""

from __future__ import annotations

import sys

# Before anything is imported: what the worker's pool had loaded when it forked this task.
WARM = [
    name
    for name in ("requests", "psycopg", "oauth_taskflow.taskflow.sessions")
    if name in sys.modules
]

import socket  # noqa: E402 - see above
import time  # noqa: E402 - see above

from airflow.sdk import dag  # noqa: E402 - see above

from oauth_taskflow import OAuthSession, load_specs, oauth_task  # noqa: E402 - see above

CALLS = 4


@dag("celery_airports", schedule=None)
def celery_airports() -> None:
    for host in ("one", "two"):

        @oauth_task(conn_id="crm", task_id=host, queue=host)
        def read(session: OAuthSession, number: int) -> list[str]:
            for _ in range(CALLS):
                url = f"/page/airports?per_page=1&page={number + 1}"
                session.get(url).raise_for_status()
                time.sleep(1)
            return [socket.gethostname(), *WARM]

        read.expand(number=list(range(4)))


celery_airports()
load_specs(globals())
