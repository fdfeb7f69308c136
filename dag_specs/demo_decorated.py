"""A hand-written DAG of the demo: ``@oauth_task`` hands each function a session that is always authenticated."""

from __future__ import annotations

from airflow.sdk import dag, task

from oauth_taskflow import OAuthSession, oauth_task


@dag(schedule=None, tags=["demo"], default_args={"retries": 2})
def demo_decorated() -> None:
    """Counts the airports of a few countries, several countries at once, and adds them up."""

    @oauth_task(conn_id="demo_api")
    def countries(session: OAuthSession) -> list[str]:
        """The eight countries with the most airports."""
        found = session.get("/countries").json()["data"]
        return [c["code"] for c in sorted(found, key=lambda c: -c["airports"])[:8]]

    @oauth_task(conn_id="demo_api")
    def highest_airport(code: str, session: OAuthSession) -> dict[str, object]:
        """The highest airport of one country; every page is read."""
        airports = session.paginate(f"/countries/{code}/airports", records="data")
        highest = max(airports, key=lambda airport: airport["elevation"])
        return {"country": code, "name": highest["name"], "feet": highest["elevation"]}

    @task
    def report(found: list[dict[str, object]]) -> None:
        """Print the result to the task's log."""
        for row in found:
            print(f"{row['country']}: {row['name']} at {row['feet']} ft")  # noqa: T201

    report(highest_airport.expand(code=countries()))


demo_decorated()
