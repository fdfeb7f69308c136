"""Files of an Iceberg table on a server of S3 that keeps what it is sent, as servers do that know no framed uploads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("pyiceberg")

from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.tables.iceberg_catalog import open_catalog
from tests.destinations.contract import open_local

_BEGUN = "InitiateMultipartUploadResult"
CHECKSUMS = "AWS_REQUEST_CHECKSUM_CALCULATION"


class _Keeper(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KeepingServer

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def do_PUT(self) -> None:
        """Keep the body as it came."""
        self.server.kept.append(b"".join(self._pieces()))
        self._answer(b"")

    def _pieces(self) -> Iterator[bytes]:
        if "Content-Length" in self.headers:
            yield self.rfile.read(int(self.headers["Content-Length"]))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_POST(self) -> None:
        """Begin an upload of several parts, or end it."""
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        root = "CompleteMultipartUploadResult" if "uploadId=" in self.path else _BEGUN
        more = "<UploadId>1</UploadId>" if root == _BEGUN else '<ETag>"1"</ETag>'
        self._answer(f"<{root}>{more}</{root}>".encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class KeepingServer(ThreadingHTTPServer):
    """Keeps the bodies of uploads."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keeper)
        self.kept: list[bytes] = []


@pytest.fixture
def keeper() -> Iterator[KeepingServer]:
    """A running server."""
    with KeepingServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def open_at(endpoint: str, folder: Path) -> Any:
    """A catalog in SQLite whose files are on the server at ``endpoint``."""
    extra = {
        "type": "sql",
        "uri": f"sqlite:///{folder / 'catalog.db'}",
        "s3.endpoint": endpoint,
        "s3.region": "us-east-1",
        "s3.access-key-id": "key",
        "s3.secret-access-key": "secret",
    }
    found = SimpleNamespace(host=None, login=None, password=None, extra_dejson=extra)
    return open_catalog("", "catalog", None, StoreAccess(open_local, lambda _: found))


def forget_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the variable out of the environment, to be as it was after the test."""
    monkeypatch.setenv(CHECKSUMS, "")
    monkeypatch.delenv(CHECKSUMS)


def test_a_server_of_s3_gets_the_bytes_of_a_file_and_nothing_else(
    keeper: KeepingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyiceberg.io import load_file_io  # noqa: PLC0415 - only where it is installed

    forget_choice(monkeypatch)
    catalog = open_at(f"http://127.0.0.1:{keeper.server_port}", tmp_path)
    files = load_file_io(catalog.properties)
    with files.new_output("s3://lake/crm/one.json").create(overwrite=True) as file:
        file.write(b'{"one": 1}')
    assert keeper.kept == [b'{"one": 1}']


@pytest.mark.parametrize(
    ("endpoint", "before", "after"),
    [
        ("https://s3.eu-central-1.amazonaws.com", None, None),
        ("https://s3.example", "when_supported", "when_supported"),
    ],
)
def test_amazon_and_a_choice_of_the_environment_stay(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
    before: str | None,
    after: str | None,
) -> None:
    forget_choice(monkeypatch)
    if before is not None:
        monkeypatch.setenv(CHECKSUMS, before)
    open_at(endpoint, tmp_path)
    assert os.environ.get(CHECKSUMS) == after
