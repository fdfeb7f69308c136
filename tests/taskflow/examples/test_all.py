"""Every example is valid, named after its file, and played by a test in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.specs.check import check_file
from tests.taskflow.examples.play import EXAMPLES

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
# Warnings about what an API forces on its users.
EXPECTED = {"jira": ["zone-less"], "xero": ["zone-less"]}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_no_problem_but_those_that_its_api_forces_on_it(name: str) -> None:
    checked = check_file(EXAMPLES / f"{name}.yaml")
    assert [problem.rule for problem in checked.problems] == EXPECTED.get(name, [])
    assert checked.spec is not None
    assert (checked.spec.source.dag_id, checked.spec.source.connection) == (f"example_{name}", name)


def test_every_example_is_played() -> None:
    tests = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert set(NAMES) == tests - {"all"}
