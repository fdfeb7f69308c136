"""A pull that is cut off anywhere, or killed, has the records and the rejected records of an uncut pull."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.contracts.options import Contract, GivenSchema
from oauth_taskflow.errors import ApiRequestFailed
from oauth_taskflow.fields.options import Fields
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import PagedApi, build_endpoint, list_files, pull, read_output
from tests.support.examples import examples

OPTIONS: dict[str, Any] = {
    "primary_key": "id",
    "fields": Fields(cast={"size": "integer"}, on_error="quarantine"),
    "contract": Contract(
        types="discard_row", schema=GivenSchema(fields={"id": "text", "at": "date"})
    ),
}
FILE = "_rejected-00000.jsonl"
ROOT = Path(__file__).resolve().parents[2]


class OddApi(PagedApi):
    """Rows that cannot be cast, and rows that break the contract; each page has one that is right."""

    def answer(self, asked: Asked, place: str, at: int, pages: int) -> Reply:
        reply = super().answer(asked, place, at, pages)
        body = json.loads(reply.body)
        good = [{**row, "size": "1", "at": row["at"][:10]} for row in body["items"]]
        odd = [{**row, "size": ["x", "2"][at % 2]} for row in body["items"][:1]]
        body["items"] = [*good, *odd]
        return Reply(json.dumps(body).encode(), headers=reply.headers)


def read_rejected(folder: Path) -> list[Any]:
    lines = (folder / "out" / "run_id=r" / FILE).read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def run(cuts: set[int], folder: Path, style: str = "page", file_format: str = "jsonl") -> Any:
    api = OddApi(style, {"ann": 3, "bob": 2}, cuts)
    endpoint = build_endpoint(folder, style, file_format, **OPTIONS)
    for _ in range(len(cuts)):
        with suppress(ApiRequestFailed):
            return pull(folder, api, endpoint, ["ann", "bob"])
    return pull(folder, api, endpoint, ["ann", "bob"])


@pytest.mark.slow
@examples(0.25)
@given(
    st.sets(st.integers(0, 8), max_size=4),
    st.sampled_from(["jsonl", "jsonl.gz"]),
    st.sampled_from(["page", "cursor"]),
)
def test_wherever_it_is_cut_off_the_same_records_are_rejected(
    cuts: set[int], file_format: str, style: str
) -> None:
    found = []
    for these in (cuts, set[int]()):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            manifest, _ = read_output(run(these, folder, style, file_format))
            assert list_files(folder) == ["_manifest.json", FILE, f"part-00000.{file_format}"]
            # gzip has a member for each attempt.
            figures = {key: value for key, value in manifest.items() if key != "files"}
            found.append((figures, read_rejected(folder)))
    assert found[0] == found[1]
    assert found[0][0]["rejected"] == len(found[0][1]) == 5


STEPS = [
    ("folder_writer:FolderWriter.reject", 2),
    ("+folder_writer:FolderWriter.reject", 2),
    ("folder_writer:FolderWriter.keep", 3),
    ("local_folder:LocalAttempt.publish", 0),
    ("+local_folder:LocalAttempt.publish", 0),
]
# Moves of the progress, five of them, then of part, rejected records and manifest.
MOVES = [("Path.replace", count) for count in range(5, 8)]


@pytest.mark.slow
@pytest.mark.parametrize(("place", "count"), [*STEPS, *MOVES])
def test_a_killed_pull_rejects_each_record_once(tmp_path: Path, place: str, count: int) -> None:
    command = [sys.executable, "-m", __name__, str(tmp_path), place, str(count)]
    done = subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    manifest, _ = read_output(run(set(), tmp_path))
    with tempfile.TemporaryDirectory() as name:
        whole, _ = read_output(run(set(), Path(name)))
        assert read_rejected(tmp_path) == read_rejected(Path(name))
    assert manifest == whole
    assert list_files(tmp_path) == ["_manifest.json", FILE, "part-00000.jsonl"]


def _die_at(place: str, count: int) -> None:
    from oauth_taskflow.destinations import folder_writer, local_folder  # noqa: PLC0415

    name = place.removeprefix("+").rpartition(":")[2]
    owner_name, _, method = name.partition(".")
    owners = {
        "FolderWriter": folder_writer.FolderWriter,
        "LocalAttempt": local_folder.LocalAttempt,
        "Path": Path,
    }
    owner: Any = owners[owner_name]
    real, calls = getattr(owner, method), iter(range(1_000_000))

    def deadly(*args: Any, **kwargs: Any) -> Any:
        is_last = next(calls) == count
        if is_last and not place.startswith("+"):
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, method, deadly)


if __name__ == "__main__":
    _die_at(sys.argv[2], int(sys.argv[3]))
    run(set(), Path(sys.argv[1]))
