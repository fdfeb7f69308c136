"""Every file of valid/ is clean; every file of invalid/ has exactly the problems that its header states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.problem import Problem
from oauth_taskflow.specs.rules import all_rules
from oauth_taskflow.specs.schema_errors import SCHEMA_RULES

HERE = Path(__file__).parent
VALID = sorted((HERE / "valid").glob("*.yaml"))
INVALID = sorted((HERE / "invalid").glob("*.yaml"))
EXPECT = re.compile(r"^# expect: (\d+):(\d+) ([a-z-]+)(?:: (.*))?$", re.MULTILINE)
# Found only between files or outside of them: test_check.py has their tests.
ELSEWHERE = {"duplicate-dag-id", "refused", "skipped-dag-file", "unreadable-file"}


def stated(path: Path) -> list[tuple[str, ...]]:
    return EXPECT.findall(path.read_text(encoding="utf-8"))


def as_stated(problem: Problem, stated_text: str) -> tuple[str, ...]:
    # Texts that come from a library are not ours to pin.
    text = f"{problem.message}. {problem.hint}".strip() if stated_text else ""
    return str(problem.line), str(problem.col), problem.rule, text


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_file_has_no_problems(path: Path) -> None:
    checked = check_file(path)
    assert list(map(str, checked.problems)) == []
    assert checked.spec is not None


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_file_has_the_problems_it_states(path: Path) -> None:
    expected = stated(path)
    problems = check_file(path).problems
    assert expected
    assert [p.rule for p in problems] == [entry[2] for entry in expected]
    found = [as_stated(p, entry[3]) for p, entry in zip(problems, expected, strict=True)]
    assert found == expected


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_error_leaves_no_spec_and_a_warning_does(path: Path) -> None:
    checked = check_file(path)
    broken = any(problem.is_error for problem in checked.problems)
    assert (checked.spec is None) == broken


def test_every_rule_has_an_invalid_file() -> None:
    shown = {entry[2] for path in INVALID for entry in stated(path)}
    known = {rule.id for rule in all_rules()} | set(SCHEMA_RULES)
    assert known - ELSEWHERE == shown
