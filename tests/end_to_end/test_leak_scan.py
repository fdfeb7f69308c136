"""The scan for leaks finds what is planted, wherever and in whatever form: a scan that cannot fail proves nothing."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.taskflow.broker.protocol import address_question
from oauth_taskflow.taskflow.broker.questions import write_question
from oauth_taskflow.testing.request_log import LoggedRequest
from tests.end_to_end.leak_scan import ProcessWatch, Scanner, cells, pieces

SECRET = 'Cl1ent/s3cret+of=the&"test"?çlient'
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SCANNER = Scanner({"it": SECRET})
PLANTED: dict[str, Callable[[str], str]] = {
    "raw": str,
    "quoted": lambda secret: quote(secret, safe=""),
    "quoted, slashes kept": quote,
    "in a form": lambda secret: urlencode({"client_secret": secret}),
    "lower-case escapes": lambda secret: re.sub(
        "%..", lambda found: found[0].lower(), quote(secret)
    ),
    "JSON": lambda secret: json.dumps({"client_secret": secret}),
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"client_secret": secret})),
    "JSON in UTF-8": lambda secret: json.dumps({"client_secret": secret}, ensure_ascii=False),
    "JSON, slashes escaped": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "repr": lambda secret: repr({"client_secret": secret}),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "Basic": lambda secret: base64.b64encode(f"id:{quote_plus(secret)}".encode()).decode(),
    "base64 of JSON": lambda secret: base64.b64encode(json.dumps([secret]).encode()).decode(),
}


@pytest.mark.parametrize("form", PLANTED)
def test_each_form_is_found_in_a_log_line(form: str) -> None:
    text = f"[2026-01-01] DEBUG - sent {PLANTED[form](SECRET)} to the API"
    assert SCANNER.find(text.encode()) == {"it"}


@given(st.binary(max_size=9), st.binary(max_size=9), st.sampled_from(["+/", "-_"]))
def test_base64_is_found_at_every_alignment(before: bytes, behind: bytes, letters: str) -> None:
    text = base64.b64encode(before + SECRET.encode() + behind, letters.encode())
    assert SCANNER.find(text) == {"it"}


def test_other_text_is_not_taken_for_the_secret() -> None:
    assert SCANNER.find(b"Cl1ent/s3cret+of=another") == set()


def test_a_long_secret_is_found_when_only_its_beginning_is_logged() -> None:
    token = base64.urlsafe_b64encode(bytes(range(150))).decode()
    assert Scanner({"token": token}).find(token[:60].encode()) == {"token"}


def test_a_key_is_found_by_any_line_of_it_and_a_jwt_by_its_signature() -> None:
    body = ["MIGHAgEAMBMGByqGSM49", "AgEGCCqGSM49AwEHBG0w"]
    pem = "\n".join(["-----BEGIN PRIVATE KEY-----", *body, "-----END PRIVATE KEY-----"])
    assert Scanner({"key": pem}).find(f"kept {body[1]}\\n".encode()) == {"key"}
    assert pieces("eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJlMTIz") == ["c2lnbmF0dXJlMTIz"]


def test_a_secret_too_short_to_look_for_is_refused() -> None:
    with pytest.raises(AssertionError):
        Scanner({"it": "short"}).find(b"")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One value that spans pages of the file, one that is compressed."""
    path = tmp_path / "airflow.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE dag (data BLOB, note TEXT, number INTEGER)")
        packed = zlib.compress(json.dumps({"op_args": [SECRET]}).encode())
        connection.execute("INSERT INTO dag VALUES (?, 'nothing', 1)", (packed,))
        connection.execute("CREATE TABLE xcom (value TEXT)")
        connection.execute("INSERT INTO xcom VALUES (?)", ("x" * 4000 + SECRET + "y" * 9000,))
    connection.close()
    return path


def test_every_column_of_a_database_is_read_compressed_ones_unpacked(database: Path) -> None:
    found = {place for _, place in SCANNER.find_in_file(database)}
    assert {"dag.data", "xcom.value"} <= found
    assert cells(database)["dag.note"] == b"nothing\n"


def test_questions_to_the_broker_are_read_unpacked(tmp_path: Path) -> None:
    name = address_question("crm", write_question("watermark", ["begin", SECRET])[1])
    (log := tmp_path / "a.log").write_text(f'"GET /execution/connections/{name} HTTP/1.1" 200')
    assert SCANNER.find_in_file(log) == {("it", "a.log, questions")}


def test_a_plain_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "task.log").write_text(f"token={SECRET}")
    assert SCANNER.find_in_file(tmp_path / "task.log") == {("it", "task.log")}


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ({"path": f"/hooks/{quote(SECRET)}"}, "path"),
        ({"query": (("key", SECRET),)}, "query key"),
        ({"headers": {"Authorization": f"Bearer {SECRET}"}}, "header Authorization"),
        ({"body": urlencode({"a": "b", "code": SECRET}), "headers": FORM}, "body code"),
        ({"body": json.dumps({"a": {"b": SECRET}})}, "body a"),
        ({"body": f"<xml>{SECRET}</xml>"}, "body"),
    ],
)
def test_the_place_in_a_request_is_named(what: dict[str, object], place: str) -> None:
    parts: dict[str, object] = {"path": "/token", "query": (), "headers": {}, "body": "", **what}
    request = LoggedRequest(0.0, "POST", **parts)  # type: ignore[arg-type]
    assert ("it", f"{request.path} {place}") in SCANNER.find_in_request(request)


def test_arguments_and_environment_of_a_process_are_seen() -> None:
    mark = "AIRFLOW_HOME=/somewhere/of/this/test"
    command = [sys.executable, "-c", "input()", SECRET]
    environment = {"AIRFLOW_HOME": mark.partition("=")[2], "CREDENTIAL": SECRET}
    with (
        ProcessWatch(mark) as watch,
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE) as process,
    ):
        deadline = time.monotonic() + 20
        while not any(watch.environments.values()) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.communicate(b"\n")
    assert SCANNER.find(b"\n".join(watch.arguments)) == {"it"}
    assert SCANNER.find(b"\n".join(watch.environments.values())) == {"it"}
