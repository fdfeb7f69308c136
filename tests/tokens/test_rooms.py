"""The rooms of ``tokens``: who may import whom, what does no I/O, and who writes the state of an attempt."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TOKENS = Path(__file__).resolve().parents[2] / "oauth_taskflow" / "tokens"
PREFIX = "oauth_taskflow.tokens."
# Room → the rooms and single modules of tokens that it may import.
ALLOWED = {
    "state": {"grant_key", "options"},
    "sql": {"cipher", "recovery_files", "state"},
    "refresh": {"cipher", "events", "grant_key", "options", "recovery_files", "state", "store"},
}
INPUT_OUTPUT = {"logging", "os", "pathlib", "requests", "sqlalchemy", "threading", "time"}


def find_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    found = {
        name.removeprefix(PREFIX).partition(".")[0]
        for path in (TOKENS / room).glob("*.py")
        for name in find_imports(path)
        if name.startswith(PREFIX)
    }
    assert found - {room} <= ALLOWED[room]


def test_every_folder_of_tokens_is_a_room_with_a_rule() -> None:
    folders = {path.parent.name for path in TOKENS.glob("*/__init__.py")}
    assert folders == set(ALLOWED)


def test_the_state_of_a_grant_is_changed_without_input_or_output() -> None:
    found = {
        (path.name, name)
        for path in (TOKENS / "state").glob("*.py")
        for name in find_imports(path)
        if name.partition(".")[0] in INPUT_OUTPUT
    }
    assert found == set()


def test_the_state_of_an_attempt_is_written_in_one_file() -> None:
    written = {
        path.name
        for path in (TOKENS / "refresh").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for part in ast.walk(target)
        if isinstance(part, ast.Attribute) and part.attr in {"record", "lost", "outcome"}
    }
    assert written == {"attempt.py"}
