"""Servers of S3 (moto) and Azure Blob Storage (azurite), started once, and Airflow connections to them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.testing.airflow_deployment import free_port
from tests.stores.faulty_proxy import FaultyProxy, faulty
from tests.stores.opener import AZURE_URL, CONTAINER, S3_URL, connections
from tests.taskflow.conftest import (  # fixtures, and Airflow's home before Airflow is imported
    _home_is_thrown_away,
    airflow_home,
    no_grants_of_others,
    run_dag,
    set_connection,
)

__all__ = [
    "_home_is_thrown_away",
    "airflow_home",
    "no_grants_of_others",
    "run_dag",
    "set_connection",
]

HERE = Path(__file__).parent
logging.getLogger("azure").setLevel(logging.WARNING)  # it logs thirty lines a request
_START_SECONDS = 120.0


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:  # it is there, and refuses this request
        return True
    except OSError:
        return False
    return True


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while not _answers(url):
        if server.poll() is not None or time.monotonic() > end:
            pytest.fail(f"the server at {url} did not start")
        time.sleep(0.1)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Both servers, with a bucket and a container; environment variables say where, for child processes too."""
    ports = {S3_URL: free_port(), AZURE_URL: free_port()}
    azurite = HERE / "node_modules" / ".bin" / "azurite-blob"
    commands = {
        S3_URL: [sys.executable, "-m", "tests.stores.s3_server", str(ports[S3_URL])],
        AZURE_URL: [
            *(str(azurite), "--blobHost", "127.0.0.1", "--blobPort", str(ports[AZURE_URL])),
            *("--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck", "--silent"),
        ],
    }
    folder = tmp_path_factory.mktemp("servers")
    running = []
    try:
        for name, command in commands.items():
            os.environ[name] = f"http://127.0.0.1:{ports[name]}"
            with (folder / name).open("wb") as log:
                server = subprocess.Popen(
                    command, cwd=HERE.parents[1], stdout=log, stderr=subprocess.STDOUT
                )
            running.append(server)
        for name, server in zip(commands, running, strict=True):
            _wait_for(os.environ[name], server)
        os.environ.update(connections())
        for fs in _filesystems():
            fs.mkdir(CONTAINER)
        yield
    finally:
        for server in running:
            server.kill()  # both keep everything in memory
            server.wait()


def _filesystems() -> list[Any]:
    from oauth_taskflow.taskflow.dags.storage import open_path  # noqa: PLC0415 - Airflow needs its home first

    return [open_path(f"{scheme}://{CONTAINER}", scheme).fs for scheme in ("s3", "abfs")]


@pytest.fixture(params=["s3", "abfs"])
def place(request: pytest.FixtureRequest, servers: None) -> str:
    """A new prefix for this test, as in a spec; its scheme is its connection's id too."""
    # adlfs takes square brackets for those of an IPv6 address
    name = request.node.name.translate({ord("["): "(", ord("]"): ")"})
    return f"{request.param}://{CONTAINER}/{name} é+=%3A"


@pytest.fixture(autouse=True)
def _azure_asks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its library waits a quarter of a minute after an error of the store, and longer after the next."""
    blobs = pytest.importorskip("azure.storage.blob.aio")
    monkeypatch.setattr(blobs.ExponentialRetry, "get_backoff_time", lambda *_: 0.1)


@pytest.fixture
def proxy(servers: None) -> Iterator[FaultyProxy]:
    """A proxy in front of the server of S3."""
    with faulty(os.environ[S3_URL]) as server:
        yield server
