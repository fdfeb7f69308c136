"""A task as one writes it by hand: requests, and a token that is taken from the Connection."""

from airflow.sdk import BaseHook, dag, task
from figures import Figures


@dag(schedule=None)
def handwritten() -> None:
    @task
    def pull() -> None:
        import requests  # noqa: PLC0415 - as Airflow recommends

        figures = Figures("handwritten")
        figures.note_imported()
        connection = BaseHook.get_connection("static")
        with requests.Session() as session:
            session.headers.update(connection.extra_dejson)
            session.get(f"{connection.host}/echo", timeout=10).raise_for_status()
        figures.note_answered()

    pull()


handwritten()
