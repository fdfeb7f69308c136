"""A DAG file of async tasks and deferrable operators, as text for a deployment."""

ASYNC_DAG = """\
import asyncio
from datetime import timedelta
from airflow.sdk import dag
from oauth_taskflow import AsyncOAuthSession, OAuth2HttpOperator, OAuth2HttpSensor, oauth_task

def following(response):
    page = response.json()["meta"]
    return {"data": {"page": page["page"] + 1}} if page["page"] < page["pages"] else None

def rows(responses):
    return sum(len(response.json()["data"]) for response in responses)

@dag(schedule=None)
def asynchronous():
    @oauth_task(conn_id="crm", retries=2)
    async def read(session: AsyncOAuthSession, number: int, ti=None) -> list[int]:
        found = []
        for page in range(10):
            pushed = ti.axcom_push(f"page{page}", page)
            answers = [session.get("/countries") for _ in range(5)]
            _, *answers = await asyncio.gather(pushed, *answers)
            found += [answer.raise_for_status().status_code for answer in answers]
            await asyncio.sleep(0.2)
        print("what the author prints:", answers[0].request.headers, session.headers, number)
        return found

    # Airflow 3.3 may take a late "I have deferred" of LocalExecutor for the end of a task that has gone on already.
    how = {"http_conn_id": "crm", "deferrable": True, "retries": 3, "retry_delay": timedelta(0)}
    OAuth2HttpSensor(task_id="ready", endpoint="/airports/ENGM", poke_interval=0.5, **how)
    OAuth2HttpOperator(
        task_id="pages", method="GET", endpoint="/page/airports", **how,
        data={"country": "NO", "per_page": 80, "page": 1},
        pagination_function=following, response_filter=rows,
    )
    OAuth2HttpOperator(task_id="gone", method="GET", endpoint="/nonsense", **how)
    read.expand(number=[1, 2])

asynchronous()
"""
