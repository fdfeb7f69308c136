"""One rotating refresh token under fire: many processes and threads, kill -9, a stampede at one expiry.

Usage: .venv/bin/python benchmarks/rotation.py [--database sqlite|postgresql|mariadb|URL] [--processes 8] [--threads 4]
       [--seconds 20] [--lifetime 2] [--grace 0] [--kills 0.3] [--latency 0.2] [--herd 8x125]

The authorization server runs in this process, revokes the whole grant when a spent refresh token comes back, and
counts. ``--kills`` is the share of refreshes whose worker is killed at a random step; another takes its place. Without
a grace period (``--grace``) a kill between answer and storing cannot be survived by any client. ``--herd`` is how many
processes of how many threads ask at one expiry; several of them with commas between. ``--seconds 0`` measures them alone.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet
from measure import HERE, command_line, environment_line, table, verdict
from rotation_child import FAILED, FIGURES, GOOD, KILLED, REPLAYED, Plan, stampede, work

from oauth_taskflow import __version__
from oauth_taskflow.testing import OAuthTestServer

if TYPE_CHECKING:
    from tests.database_server import DatabaseServer

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["__main__", "rotation_child", "psycopg", "pymysql"])
ROUNDS = 3
Round = tuple[int, float, int]


@contextlib.contextmanager
def database(name: str) -> Iterator[str]:
    """The URL of a store: a temporary file, a server started for this run, or the URL as given."""
    if name == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/tokens.db"
    elif name in {"postgresql", "mariadb"}:
        server = _server(name)
        server.start()
        try:
            yield server.url
        finally:
            server.stop()
    else:
        yield name


def _server(name: str) -> DatabaseServer:
    sys.path.insert(0, str(HERE.parent))
    from tests.mariadb import MariaDbServer, mariadb_programs  # noqa: PLC0415 - only for these two
    from tests.postgres import PostgresServer, postgres_programs  # noqa: PLC0415

    if name == "postgresql" and (folder := postgres_programs()):
        return PostgresServer(folder)
    if name == "mariadb" and (programs := mariadb_programs()):
        return MariaDbServer(programs)
    sys.exit(f"{name} is not installed; give the URL of a server instead")


def plan(server: OAuthTestServer, store_url: str, threads: int, kills: float = 0.0) -> Plan:
    return Plan(
        store_url,
        Fernet.generate_key().decode(),
        server.base_url,
        server.token_url,
        server.issue_refresh_token(),
        server.client_id,
        server.client_secret,
        threads,
        kills,
    )


def under_fire(options: argparse.Namespace, store_url: str) -> list[str]:
    """One row: what became of one grant."""
    with OAuthTestServer(token_lifetime=options.lifetime, grace=options.grace) as server:
        todo = plan(server, store_url, options.threads, options.kills)
        warm = CONTEXT.Process(
            target=time.time
        )  # imports everything that the workers are forked from
        warm.start()
        warm.join()
        until = time.time() + options.seconds
        figures = [
            CONTEXT.RawArray("q", options.threads * FIGURES) for _ in range(options.processes)
        ]
        processes = [_start(todo, mine, until) for mine in figures]
        while time.time() < until:
            time.sleep(0.05)
            for number, process in enumerate(processes):
                if process.exitcode is not None and process.exitcode < 0:
                    figures[number][KILLED] += 1
                    processes[number] = _start(todo, figures[number], until)
        for process in processes:
            process.join()
        counters = server.counters
    total = [sum(sum(mine[kind::FIGURES]) for mine in figures) for kind in range(FIGURES)]
    expiries = math.ceil(options.seconds / options.lifetime)
    return [
        f"{options.processes} x {options.threads}",
        str(total[GOOD]),
        str(total[FAILED]),
        str(total[REPLAYED]),
        str(total[KILLED]),
        str(counters.token_requests),
        f"{counters.token_requests / expiries:.2f}",
        str(counters.revoked_families),
        str(int(counters.revoked_families > 0)),
    ]


def _start(todo: Plan, figures: Any, until: float) -> Any:
    process = CONTEXT.Process(target=work, args=(todo, figures, until))
    process.start()
    return process


def run_one_expiry(store_url: str, latency: float, processes: int, threads: int) -> Round:
    """Token requests, the longest wait in seconds, and how many were served."""
    with OAuthTestServer(latency=latency) as server:
        todo = plan(server, store_url, threads)
        todo.manager().token()
        before = server.counters.token_requests
        barrier, waited = CONTEXT.Barrier(processes), CONTEXT.RawArray("d", processes * threads)
        children = [
            CONTEXT.Process(target=stampede, args=(todo, barrier, waited, number * threads))
            for number in range(processes)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join()
        asked = server.counters.token_requests - before
    return asked, max(waited), sum(seconds > 0 for seconds in waited)


def parse_arguments() -> argparse.Namespace:
    return command_line(
        __doc__,
        database="sqlite",
        processes=8,
        threads=4,
        seconds=20.0,
        lifetime=2.0,
        grace=0.0,
        kills=0.0,
        latency=0.2,
        herd="8x125",
    )


def herds(text: str) -> list[tuple[int, int]]:
    """Processes and threads of each herd: ``1x1000,8x125``."""
    found = [tuple(int(number) for number in herd.split("x")) for herd in text.split(",")]
    return [(processes, threads) for processes, threads in found]


def show_herd(herd: tuple[int, int], rounds: list[Round], latency: float) -> None:
    """A table of one herd's rounds, and the verdicts."""
    processes, threads = herd
    print(
        f"\n{processes} x {threads} threads at one expiry, token endpoint latency "
        f"{latency * 1000:g} ms, {ROUNDS} rounds.\n"
    )
    lines = [
        [f"round {n}", str(asked), str(served), f"{longest * 1000:.0f}"]
        for n, (asked, longest, served) in enumerate(rounds, 1)
    ]
    print(table(["", "token requests", "served", "longest wait in ms"], lines))
    print()
    asked = max(r[0] for r in rounds)
    print(verdict("token requests at one expiry", asked, 1, lambda n: f"{n:.0f}"))
    worst = max(r[1] for r in rounds) * 1000
    limit = latency * 2000 + 100
    who = f"longest wait of {processes * threads:,}"
    print(verdict(who, worst, limit, lambda ms: f"{ms:.0f} ms"))


def main() -> None:
    options = parse_arguments()
    print(environment_line({"oauth-taskflow": __version__}))
    print(
        f"Token store: {options.database.partition(':')[0]}. {options.seconds:g} s, tokens live {options.lifetime:g} s, grace "
        f"{options.grace:g} s, {options.kills:.0%} of refreshes killed.\n"
    )
    header = ["processes x threads", "good calls", "failed", "replayed after 401", "killed"]
    header += ["token requests", "per expiry", "revocations", "lost grants"]
    with database(options.database) as store_url:
        if options.seconds:
            print(table(header, [under_fire(options, store_url)]))
        for herd in herds(options.herd):
            rounds = [run_one_expiry(store_url, options.latency, *herd) for _ in range(ROUNDS)]
            show_herd(herd, rounds, options.latency)


if __name__ == "__main__":
    main()
