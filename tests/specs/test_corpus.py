"""Every file of valid/ is clean; every file of invalid/ has exactly the problems that its comments state.

A comment ``# expect:12 bad-cron: message. hint.`` follows the line that it is about and names the column, the rule and, unless
the text comes from a library, the message with its hint. ``# expect@+2:1 …`` is about the line two below the one above it,
for places where a comment would mean something else. ``{line-1}`` in a message is the number of the line above.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oauth_taskflow.specs.check import check_file, check_text
from oauth_taskflow.specs.problem import Problem
from oauth_taskflow.specs.rules import all_rules
from oauth_taskflow.specs.schema_errors import SCHEMA_RULES

HERE = Path(__file__).parent
VALID = sorted((HERE / "valid").glob("*.yaml"))
INVALID = sorted((HERE / "invalid").glob("*.yaml"))
EXPECT = re.compile(r" *# expect(?:@([+-]\d+))?:(\d+) ([a-z-]+)(?:: (.*))?")
# Their problem is the file as a whole, which is reported at its first line.
WHOLE = {"yaml-empty", "yaml-not-a-mapping", "yaml-only-null"}
LINE = re.compile(r"\{line([+-]\d+)\}")
Expected = tuple[int, int, str, str]
# Found only between files or outside of them: test_check.py has their tests.
ELSEWHERE = {"duplicate-dag-id", "refused", "skipped-dag-file", "unreadable-file"}


def read_expectations(text: str) -> list[Expected]:
    """Line, column, rule and text of each problem that the comments of ``text`` state, in the order of the file."""
    expected: list[Expected] = []
    about = 0
    for number, line in enumerate(text.splitlines(), 1):
        comment = EXPECT.fullmatch(line)
        if comment is None:
            about = number
            continue
        offset, col, rule, message = comment.groups()
        place = about + int(offset or 0)
        expected.append((place, int(col), rule, _with_lines(message or "", place)))
    return sorted(expected, key=lambda entry: entry[:2])


def _with_lines(message: str, place: int) -> str:
    return LINE.sub(lambda found: f"line {place + int(found[1])}", message)


def as_stated(problem: Problem, stated_text: str) -> Expected:
    # Texts that come from a library are not ours to pin.
    text = f"{problem.message}. {problem.hint}".strip() if stated_text else ""
    return problem.line, problem.col, problem.rule, text


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_file_has_no_problems(path: Path) -> None:
    checked = check_file(path)
    assert list(map(str, checked.problems)) == []
    assert checked.spec is not None


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_file_has_the_problems_it_states(path: Path) -> None:
    expected = read_expectations(path.read_text(encoding="utf-8"))
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
    shown = {
        entry[2]
        for path in INVALID
        for entry in read_expectations(path.read_text(encoding="utf-8"))
    }
    known = {rule.id for rule in all_rules()} | set(SCHEMA_RULES)
    assert known - ELSEWHERE == shown


MOVABLE = [path for path in INVALID if path.stem not in WHOLE]


@pytest.mark.slow
@pytest.mark.parametrize("path", MOVABLE, ids=lambda path: path.stem)
def test_an_added_line_shifts_no_expectation_of_an_invalid_file(path: Path) -> None:
    text = f"# one line more\n{path.read_text(encoding='utf-8')}"
    expected = read_expectations(text)
    found = [as_stated(p, e[3]) for p, e in zip(check_text(text).problems, expected, strict=True)]
    assert found == expected


def test_a_comment_is_about_the_line_above_it_or_one_at_a_stated_distance() -> None:
    text = "a:\n  # expect:1 bad-cron\n  # expect@+3:7 bad-path: no. See {line-2}.\nb: 1\n"
    assert read_expectations(text) == [
        (1, 1, "bad-cron", ""),
        (4, 7, "bad-path", "no. See line 2."),
    ]
