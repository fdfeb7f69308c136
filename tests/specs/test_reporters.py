from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from oauth_taskflow.specs.check import CheckedSpec
from oauth_taskflow.specs.problem import Problem
from oauth_taskflow.specs.reporters import REPORTERS
from oauth_taskflow.specs.rules import all_rules

ERROR = Problem(
    "a,b.yaml", 3, 5, "error", "endpoints.a", "100% wrong:\nreally", "wrong-type", "Fix."
)
WARNING = Problem("a,b.yaml", 4, 1, "warning", "", "odd", "small-page")
CHECKED = [
    CheckedSpec("a,b.yaml", None, (ERROR, WARNING)),
    CheckedSpec("clean.yaml", None, ()),
]


def report(name: str, checked: Sequence[CheckedSpec] = CHECKED) -> str:
    return REPORTERS[name](checked)


def test_the_endpoints_of_a_default_are_named_for_people_and_for_programs() -> None:
    inherited = Problem("a.yaml", 2, 1, "error", "defaults.x", "no", "wrong-type", "", ("a", "b"))
    checked = [CheckedSpec("a.yaml", None, (inherited,))]
    assert json.loads(report("json", checked))["problems"][0]["endpoints"] == ["a", "b"]
    assert "error: defaults.x (in a, b): no. [wrong-type]" in report("text", checked)
    assert report("github", checked).endswith("::defaults.x (in a, b): no.")
    assert "defaults.x (in a, b): no." in report("sarif", checked)


def test_text_is_one_line_per_problem_and_a_count() -> None:
    text = report("text")
    assert text.splitlines()[-2:] == [
        "a,b.yaml:4:1: warning: odd. [small-page]",
        "2 files checked: 1 error, 1 warning",
    ]
    assert report("text", [CHECKED[1]]) == "1 file checked: 0 errors, 0 warnings"


def test_json_holds_every_field() -> None:
    data = json.loads(report("json"))
    assert (data["files"], data["errors"], data["warnings"]) == (2, 1, 1)
    assert data["problems"][0] == {
        "path": "a,b.yaml",
        "line": 3,
        "col": 5,
        "level": "error",
        "where": "endpoints.a",
        "message": "100% wrong:\nreally",
        "rule": "wrong-type",
        "hint": "Fix.",
    }


def test_github_commands_are_escaped_and_one_line_each() -> None:
    assert report("github").splitlines() == [
        "::error file=a%2Cb.yaml,line=3,col=5,title=wrong-type::"
        "endpoints.a: 100%25 wrong:%0Areally. Fix.",
        "::warning file=a%2Cb.yaml,line=4,col=1,title=small-page::odd.",
    ]


def test_a_clean_run_prints_no_github_annotation() -> None:
    assert report("github", [CHECKED[1]]) == ""


def test_sarif_names_the_tool_the_rules_and_the_places() -> None:
    log = json.loads(report("sarif"))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = {
        rule["id"]: rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"]
    }
    assert {rule.id for rule in all_rules()} < set(rules)
    assert all(rules.values())
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("wrong-type", "error")
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%2Cb.yaml"
    assert place["region"] == {"startLine": 3, "startColumn": 5}
    assert {result["ruleId"] for result in run["results"]} <= set(rules)


@pytest.mark.parametrize("name", REPORTERS)
def test_every_reporter_works_without_files(name: str) -> None:
    assert isinstance(report(name, []), str)
