"""Lands records in PostgreSQL once, and prints figures. Started by ``postgres.py``.

Arguments: the kind, the database's URL, the number of records (dlt: a folder), the API's base URL. The clock starts after the imports.
"""

# ruff: noqa: PLC0415 - each environment holds one kind of client; names come from this file

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

Timed = Callable[[], None]
_PAGE = 500
_OPTIONS: dict[str, dict[str, str]] = {
    "raw": {},
    "columns": {"layout": "columns"},
    "merge": {"mode": "merge"},
}


def _pages(records: int) -> list[list[Any]]:
    import msgspec
    from api_server import record

    made = [
        msgspec.Raw(json.dumps(record(n), ensure_ascii=False, separators=(",", ":")).encode())
        for n in range(records)
    ]
    return [made[at : at + _PAGE] for at in range(0, records, _PAGE)]


def _access(url: str) -> Any:
    from oauth_taskflow.destinations.base import StoreAccess

    parts = urlsplit(url)
    found = SimpleNamespace(
        conn_id="warehouse",
        conn_type="postgres",
        host=parts.hostname,
        port=parts.port,
        login="postgres",
        password=None,
        schema="postgres",
        extra_dejson={},
    )
    return StoreAccess(lambda path, _conn_id: Path(path), lambda _conn_id: found)


def _reset(url: str) -> Any:
    import psycopg

    connection = psycopg.connect(url, autocommit=True)
    connection.execute(
        "DROP TABLE IF EXISTS bench, bench_bare, _oauth_taskflow_runs, _oauth_taskflow_stages"
    )
    connection.execute("DROP SCHEMA IF EXISTS bench_dlt CASCADE")
    connection.execute("CHECKPOINT")
    return connection


def bare(url: str, records: int) -> Timed:
    """Records from memory by one COPY, pages joined and backslashes escaped."""
    connection, pages = _reset(url), _pages(records)
    connection.execute("CREATE TABLE bench_bare (record jsonb)")

    def write() -> None:
        with connection.cursor().copy("COPY bench_bare FROM STDIN") as copy:
            for page in pages:
                copy.write(b"\n".join(page).replace(b"\\", b"\\\\") + b"\n")
        connection.close()

    return write


def ours(url: str, records: int, name: str, *, again: bool = False) -> Timed:
    """The same records by our writer, from ``open`` to the end of ``commit``."""
    from oauth_taskflow.api.pull.page import Page
    from oauth_taskflow.destinations.base import EndpointFacts, Run
    from oauth_taskflow.destinations.postgres import destination as _  # noqa: F401 - imports do not count
    from oauth_taskflow.destinations.postgres.options import PostgresDestination
    from oauth_taskflow.destinations.transfer import transfer

    _reset(url).close()
    options: Any = {"conn_id": "warehouse", "table": "bench", **_OPTIONS[name]}
    made, pages = PostgresDestination(**options), _pages(records)

    def write(run: str = "r1") -> None:
        facts = EndpointFacts(("id",), "updated_at")
        place = made.locate(lambda text: text if text == "bench" else "", run)
        destination = made.connect(place, _access(url), facts)
        found = [Page(page, len(page), "", number) for number, page in enumerate(pages)]
        transfer(found, destination, Run("bench", run))

    if again:
        write("r0")
    return write


def _spec(name: str) -> str:
    options = "".join(f", {key}: {value}" for key, value in _OPTIONS[name].items())
    return f"""\
version: 1
dag_id: benchmark
connection: benchmark
endpoints:
  bench:
    request: {{path: /records}}
    records: data
    paginate: {{type: cursor, next: paging.next, param: after}}
    destination: {{type: postgres, conn_id: warehouse, table: bench{options}}}
"""


def pull(url: str, name: str, api: str) -> Timed:
    """A spec endpoint run by the engine, as a task runs it."""
    from datetime import datetime, timezone

    import psycopg  # noqa: F401 - imports do not count

    from oauth_taskflow.api.session import OAuthSession
    from oauth_taskflow.destinations.postgres import destination  # noqa: F401 - as above
    from oauth_taskflow.engine.run import EndpointRun, run_endpoint
    from oauth_taskflow.oauth.token import Token
    from oauth_taskflow.specs.check import check_text
    from oauth_taskflow.specs.windows import Interval

    _reset(url).close()
    token = Token(access_token="benchmark", obtained_at=time.time())

    class Fixed:
        def token(self) -> Token:
            return token

        def replace_refused(self, access_token: str) -> Token:
            raise AssertionError(access_token)

    text = _spec(name)
    spec = check_text(text).spec
    assert spec is not None
    run = EndpointRun(
        name="bench",
        endpoint=spec.endpoints["bench"],
        run_id="benchmark",
        template_context={"endpoint": "bench"},
        interval=Interval(None, datetime.now(tz=timezone.utc)),
        access=_access(url),
    )

    def write() -> None:
        with OAuthSession(api, Fixed()) as session:
            run_endpoint(run, session)

    return write


def dlt(url: str, folder: str, api: str) -> Timed:
    """The ``rest_api`` source of dlt into its postgres destination."""
    import dlt as library
    from dlt.sources.rest_api import rest_api_source

    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"

    def write() -> None:
        paginator = {"type": "cursor", "cursor_path": "paging.next", "cursor_param": "after"}
        auth = {"type": "bearer", "token": "benchmark"}
        endpoint = {"path": "records", "data_selector": "data"}
        source = rest_api_source(
            {
                "client": {"base_url": f"{api}/", "auth": auth, "paginator": paginator},
                "resources": [{"name": "records", "endpoint": endpoint}],
            }
        )
        pipeline = library.pipeline(
            "benchmark",
            pipelines_dir=f"{folder}/{os.getpid()}",
            # It insists on a password; the private server asks for none.
            destination=library.destinations.postgres(url.replace("@", ":unused@", 1)),
            dataset_name="bench_dlt",
            dev_mode=True,
        )
        pipeline.run(source, write_disposition="append").raise_on_failed_jobs()
        with pipeline.sql_client() as client:
            (rows,) = client.execute_sql("SELECT count(*) FROM records")[0]
        write.rows = rows  # type: ignore[attr-defined]

    return write


def _prepare(kind: str, url: str, records: str, api: str) -> tuple[Timed, list[str]]:
    if kind == "dlt":
        return dlt(url, records, api), ["dlt"]
    if kind == "bare":
        return bare(url, int(records)), ["psycopg"]
    family, _, name = kind.partition("-")
    made = ["oauth-taskflow", "psycopg"]
    if family == "pull":
        return pull(url, name, api), made
    name, _, again = name.partition("-")
    return ours(url, int(records), name, again=bool(again)), made


def _count(kind: str, url: str, timed: Timed) -> int:
    if kind == "dlt":
        return int(timed.rows)  # type: ignore[attr-defined]
    import psycopg

    with psycopg.connect(url) as connection:
        name = "bench_bare" if kind == "bare" else "bench"
        found = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    return int(found[0]) if found is not None else 0


def _server_seconds(url: str) -> float:
    """Processor time of all connections that have ended, in seconds: they are children of the server's first process."""
    import psycopg

    with psycopg.connect(url) as connection:
        backend = connection.info.backend_pid
        parent = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1]
    time.sleep(0.5)  # until the server has waited for the connection above
    fields = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    kind, url, records, api = sys.argv[1:]
    timed, packages = _prepare(kind, url, records, api)
    server = _server_seconds(url) if kind != "dlt" else 0.0
    before, began, processor = _peak(), time.perf_counter(), time.process_time()
    timed()
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    server = _server_seconds(url) - server if kind != "dlt" else 0.0
    figures = {
        "seconds": seconds,
        "cpu": processor,
        "both_cpu": processor + server,
        "peak_mib": _peak(),
        "above_mib": _peak() - before,
        "rows": _count(kind, url, timed),
        "versions": {name: version(name) for name in packages},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
