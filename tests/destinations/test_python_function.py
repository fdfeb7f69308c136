"""The ``python`` destination: batches, commit and abort of an author's function, and errors that name it."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow.destinations.base import Run, StoreAccess
from oauth_taskflow.destinations.python_function import PythonDestination, PythonRun
from oauth_taskflow.errors import ApiError, DestinationError
from tests.destinations.attempts import summary
from tests.destinations.author_sinks import EVENTS
from tests.destinations.contract import render

ROOT = Path(__file__).resolve().parents[2]
SINKS = "tests.destinations.author_sinks"
RUN = Run("contacts", "r", dag_id="crm")


def connect(function: str, **options: Any) -> Any:
    kind = PythonDestination(function=f"{SINKS}.{function}", **options)
    return kind.connect(kind.locate(render, "r"), StoreAccess(lambda path, _: Path(path)))


def write(destination: Any, *pages: int) -> None:
    writer = destination.open(RUN)
    try:
        for rows in pages:
            writer.write([msgspec.Raw(b'{"id": 9007199254740993}')] * rows)
        writer.commit(summary(sum(pages)))
    except BaseException:
        writer.abort()
        raise


@pytest.mark.parametrize("batch", ["records", "arrow"])
def test_pages_become_batches_of_the_size_that_is_named(batch: str) -> None:
    EVENTS.clear()
    write(connect("note", batch=batch, size=1000, options={"table": "t"}), 700, 700, 1600, 0, 5)
    assert EVENTS[0] == ("begin", {"table": "t"})
    assert EVENTS[-1] == "commit"
    sizes = EVENTS[1:-1]
    assert sum(sizes) == 3005
    assert max(sizes) <= 1000
    if batch == "records":
        assert sizes == [1000, 1000, 1000, 5]


def test_a_run_without_records_is_committed_too() -> None:
    EVENTS.clear()
    write(connect("note"))
    assert EVENTS == [("begin", {}), "commit"]


def test_a_pull_that_fails_ends_the_function_at_its_yield() -> None:
    EVENTS.clear()
    writer = connect("note", size=1).open(RUN)
    writer.write([{"id": 1}])
    writer.abort()
    assert EVENTS == [("begin", {}), 1, "abort"]


@pytest.mark.parametrize("step", ["the call", "write", "commit"])
def test_an_error_of_the_function_names_it_and_hides_secrets(
    step: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(DestinationError) as caught:
        write(connect("Failing", options={"step": step}), 1)
    assert str(caught.value) == (
        f"{SINKS}.Failing failed in {step} (ConnectionError: the database is away, password=***) at the destination of "
        "type 'python'. The task log has its traceback."
    )
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert [r.message for r in caplog.records if r.message.startswith(SINKS)] == [
        f"{SINKS}.Failing failed in {each}"
        for each in ([step] if step == "the call" else [step, "abort"])
    ]


@pytest.mark.parametrize(
    ("function", "rows", "reason"),
    [
        ("nothing_there", 0, "failed in its import (AttributeError: module"),
        (
            "NOT_CALLABLE",
            0,
            "failed in its import (TypeError: it is a int, which cannot be called)",
        ),
        ("return_nothing", 0, "returned NoneType, which lacks write, commit, abort."),
        ("stop_early", 2, "it returned before all batches had come: take them until None comes)"),
        ("never_take", 1, "it returned before all batches had come: take them until None comes)"),
        ("never_take", 0, "it returned before the commit: take batches until None comes)"),
        ("go_on", 1, "it yields again after None, which ends the run)"),
    ],
)
def test_a_function_that_does_not_keep_to_the_protocol_is_told_what_to_do(
    function: str, rows: int, reason: str
) -> None:
    with pytest.raises(DestinationError) as caught:
        write(connect(function, size=1), rows)
    assert reason in str(caught.value)
    assert f"{SINKS}.{function}" in str(caught.value)


def test_a_module_that_is_missing_is_an_error_of_the_run_alone() -> None:
    destination = PythonDestination(function="no_such_package.load").connect(
        "[]", StoreAccess(lambda path, _: Path(path))
    )
    with pytest.raises(DestinationError) as caught:
        destination.open(RUN)
    assert "no_such_package.load failed in its import (ModuleNotFoundError: No module" in str(
        caught.value
    )


def test_exceptions_of_airflow_keep_their_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    class Skip(Exception):
        pass

    Skip.__module__ = "airflow.sdk.exceptions"
    monkeypatch.setattr(f"{SINKS}.Failing._fail", lambda *_: (_ for _ in ()).throw(Skip()))
    with pytest.raises(Skip):
        write(connect("Failing", options={"step": ""}), 1)


def test_a_function_without_read_cannot_be_a_parent() -> None:
    destination = connect("note")
    with pytest.raises(ApiError) as caught:
        list(destination.read(f"{SINKS}.note", 0, 1, selector="{}"))
    assert str(caught.value) == (
        f"Records that {SINKS}.note took cannot be read back: it has no read. Give it a read(run, skip, take), or let the "
        "first of destinations be files or a table."
    )
    assert destination.remove_stale({0: None}) == 0
    assert destination.read_manifest("any") is None


def test_a_run_is_named_by_dag_endpoint_run_and_instance() -> None:
    run = PythonRun(Run("contacts", "r", map_index=2, dag_id="crm"), {"table": "t"})
    assert run.key == ("crm", "contacts", "r", 2)
    assert repr(run) == "PythonRun('crm', 'contacts', 'r', 2)"


def test_checking_a_spec_imports_no_function() -> None:
    script = (
        "import sys\n"
        "from oauth_taskflow.specs.check import check_file\n"
        "found = check_file('tests/specs/valid/destinations.yaml')\n"
        "assert found.spec and not found.problems, found.problems\n"
        "assert not {'my_package', 'pyarrow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
