"""Typed values in many threads at once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from oauth_taskflow.schema.reading import read_as

PACKAGE = Path(__file__).resolve().parents[1] / "oauth_taskflow"
# Specs, which are read where DAGs are parsed and by one thread of a task; a tuple of texts is no type to be learned.
BY_ONE_THREAD = {
    "taskflow/dags/endpoint_task.py",
    "taskflow/dags/operators.py",
    "engine/for_each.py",
}
ELSEWHERE = {"schema/reading.py", "consents/sql.py", *BY_ONE_THREAD}
# The type of the field is found out slowly, so that the second thread comes while the first one is at it.
AT_ONCE = """
import sys, threading, time
from typing import Any
import msgspec
from oauth_taskflow.schema.reading import read_as

began, go, calls = threading.Event(), threading.Event(), []

def learn():
    calls.append(threading.current_thread().name)
    began.set()
    go.wait()
    return int

Learned = msgspec.defstruct("Learned", [("number", "learn()")], module="__main__")
found = []
threads = [threading.Thread(target=lambda: found.append(read_as(Learned, {"number": 1}).number)) for _ in range(2)]
threads[0].start()
began.wait()
threads[1].start()
for _ in range(50):
    time.sleep(0.001)
go.set()
for thread in threads:
    thread.join()
print(len(calls), found)
"""


def test_one_thread_at_a_time_uses_a_type_first() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1 [1, 1]"), done.stderr


def test_a_value_of_another_kind_is_refused() -> None:
    for _ in range(2):
        assert read_as(dict[str, int], {"a": 1}) == {"a": 1}
        with pytest.raises(msgspec.ValidationError):
            read_as(dict[str, int], {"a": "1"})


def test_no_other_module_reads_typed_values_by_itself() -> None:
    """A type that two threads use first at the same time ends the process."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"msgspec\.convert\(", path.read_text())
    }
    assert found == ELSEWHERE
