"""Rejected records take no memory, however many there are: ``python -m tests.engine.test_quarantine_memory FOLDER PAGES``."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.contracts.options import Contract, GivenSchema
from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.quarantine import Quarantine
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.engine.stages import StageOptions, build_stages
from oauth_taskflow.specs.model import Endpoint

ROOT = Path(__file__).resolve().parents[2]
ROWS = 1000  # a page


def reject(folder: Path, pages: int) -> int:
    """Rejects all records of ``pages`` and returns the growth of the peak memory in MiB."""
    fields = {"id": "integer", "text": "text"}
    contract = Contract(types="discard_row", schema=GivenSchema(fields=fields))
    quarantine = Quarantine("items")
    stages = build_stages(StageOptions(Endpoint(contract=contract), quarantine=quarantine))
    record = msgspec.Raw(msgspec.json.encode({"id": "x", "text": "y" * 100}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = (Page([record] * ROWS, 0, "https://api.example.com", n) for n in range(pages))
    run, destination = Run("items"), FolderDestination(folder)
    output = transfer(found, destination, run, stages=stages, quarantine=quarantine)
    assert output.summary.rejected == pages * ROWS
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10


@pytest.mark.slow
def test_the_memory_for_rejected_records_is_bounded(tmp_path: Path) -> None:
    command = [sys.executable, "-m", __name__, str(tmp_path), "100"]
    grown = int(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    assert (tmp_path / "_rejected-00000.jsonl").stat().st_size > 20_000_000
    assert grown < 12


if __name__ == "__main__":
    print(reject(Path(sys.argv[1]), int(sys.argv[2])))
