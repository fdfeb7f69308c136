"""How problems are printed: for people, for programs, and as annotations on a change."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from oauth_taskflow.specs.check import CheckedSpec
from oauth_taskflow.specs.problem import Problem
from oauth_taskflow.specs.rules import all_rules
from oauth_taskflow.specs.schema_errors import SCHEMA_RULES

Reporter = Callable[[Sequence[CheckedSpec]], str]

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def all_problems(checked: Sequence[CheckedSpec]) -> list[Problem]:
    """The problems of all files, in the order of the files and within a file from top to bottom."""
    return [problem for each in checked for problem in each.problems]


def text_report(checked: Sequence[CheckedSpec]) -> str:
    """One line per problem, ``file:line:col: level: path: message [rule-id]``, and a count."""
    problems = all_problems(checked)
    errors = sum(problem.is_error for problem in problems)
    count = (
        f"{_count(len(checked), 'file')} checked: {_count(errors, 'error')}, "
        f"{_count(len(problems) - errors, 'warning')}"
    )
    return "\n".join([*(str(problem) for problem in problems), count])


def json_report(checked: Sequence[CheckedSpec]) -> str:
    """A JSON object: ``files``, ``errors``, ``warnings`` and the ``problems`` with all their fields."""
    problems = all_problems(checked)
    errors = sum(problem.is_error for problem in problems)
    report = {
        "files": len(checked),
        "errors": errors,
        "warnings": len(problems) - errors,
        "problems": [_fields(problem) for problem in problems],
    }
    return json.dumps(report, indent=2)


def github_report(checked: Sequence[CheckedSpec]) -> str:
    """GitHub Actions workflow commands, which become annotations at the lines of a change."""
    return "\n".join(_github_line(problem) for problem in all_problems(checked))


def sarif_report(checked: Sequence[CheckedSpec]) -> str:
    """SARIF 2.1.0, which code-scanning services and editors read."""
    descriptors = [
        {"id": rule_id, "shortDescription": {"text": text}} for rule_id, text in _manual().items()
    ]
    run = {
        "tool": {"driver": {"name": "oauth-taskflow", "rules": descriptors}},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(problem) for problem in all_problems(checked)],
    }
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


REPORTERS: dict[str, Reporter] = {
    "text": text_report,
    "json": json_report,
    "github": github_report,
    "sarif": sarif_report,
}
"""Reporters by the name that ``--format`` takes."""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _fields(problem: Problem) -> dict[str, Any]:
    fields = {
        "path": problem.path,
        "line": problem.line,
        "col": problem.col,
        "level": problem.level,
        "where": problem.where,
        "message": problem.message,
        "rule": problem.rule,
        "hint": problem.hint,
    }
    return {**fields, "endpoints": list(problem.endpoints)} if problem.endpoints else fields


def _sentence(problem: Problem) -> str:
    where = f"{problem.place}: " if problem.where else ""
    hint = f" {problem.hint}" if problem.hint else ""
    return f"{where}{problem.message}.{hint}"


def _github_line(problem: Problem) -> str:
    properties = {
        "file": problem.path,
        "line": str(problem.line),
        "col": str(problem.col),
        "title": problem.rule,
    }
    shown = ",".join(f"{name}={_github_property(value)}" for name, value in properties.items())
    return f"::{problem.level} {shown}::{_github_data(_sentence(problem))}"


def _github_data(text: str) -> str:
    # The escapes of the actions toolkit's command.ts; anything else would end the command early.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_data(text).replace(":", "%3A").replace(",", "%2C")


def _manual() -> dict[str, str]:
    rules = {rule.id: rule.manual.partition("\n\n")[0].replace("\n", " ") for rule in all_rules()}
    return dict(sorted({**SCHEMA_RULES, **rules}.items()))


def _sarif_result(problem: Problem) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": quote(problem.path.replace("\\", "/"))},
        "region": {"startLine": problem.line, "startColumn": problem.col},
    }
    return {
        "ruleId": problem.rule,
        "level": problem.level,
        "message": {"text": _sentence(problem)},
        "locations": [{"physicalLocation": place}],
    }
