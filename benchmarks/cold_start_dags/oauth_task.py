"""The same with an authenticated session, whose token the store already holds."""

from typing import Any

from airflow.sdk import dag
from figures import Figures

from oauth_taskflow import oauth_task


@dag("oauth_task", schedule=None)
def oauth_task_dag() -> None:
    @oauth_task(conn_id="oauth")
    def pull(session: Any) -> None:
        figures = Figures("oauth_task")
        figures.note_imported()
        session.get("/echo").raise_for_status()
        figures.note_answered()

    pull()


oauth_task_dag()
