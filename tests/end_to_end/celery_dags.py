"""What the Celery workers of ``celery_run`` do: read an API, slowly, and say where and how warm they began."""

from __future__ import annotations

import sys

# Before anything is imported: what the worker's pool had loaded when it forked this task.
WARM = [
    name
    for name in ("requests", "psycopg", "oauth_taskflow.taskflow.sessions")
    if name in sys.modules
]

import os  # noqa: E402 - see above
import time  # noqa: E402 - see above

from airflow.sdk import dag  # noqa: E402 - see above

from oauth_taskflow import OAuthSession, oauth_task  # noqa: E402 - see above

CALLS = 4


@dag("celery_airports", schedule=None)
def celery_airports() -> None:
    @oauth_task(conn_id="crm")
    def read(session: OAuthSession, number: int) -> list[str]:
        for _ in range(CALLS):
            session.get(f"/page/airports?per_page=1&page={number + 1}").raise_for_status()
            time.sleep(1)
        return [os.environ["AIRFLOW_HOME"], *WARM]

    read.expand(number=list(range(8)))


celery_airports()
