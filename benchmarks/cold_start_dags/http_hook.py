"""The same with the hook of Airflow's HTTP provider."""

from airflow.sdk import dag, task
from figures import Figures


@dag(schedule=None)
def http_hook() -> None:
    @task
    def pull() -> None:
        from airflow.providers.http.hooks.http import HttpHook  # noqa: PLC0415 - as Airflow recommends

        figures = Figures("http_hook")
        figures.note_imported()
        HttpHook("GET", http_conn_id="static").run("echo")
        figures.note_answered()

    pull()


http_hook()
