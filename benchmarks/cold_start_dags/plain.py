"""A task that does nothing: what Airflow itself costs."""

from airflow.sdk import dag, task
from figures import Figures


@dag(schedule=None)
def plain() -> None:
    @task
    def nothing() -> None:
        figures = Figures("plain")
        figures.note_imported()
        figures.note_answered()

    nothing()


plain()
