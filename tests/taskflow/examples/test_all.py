"""Every example is valid, named after its file, and played by a test in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.specs.check import check_file
from tests.taskflow.examples.play import EXAMPLES

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_no_problem_and_no_warning(name: str) -> None:
    checked = check_file(EXAMPLES / f"{name}.yaml")
    assert [problem.rule for problem in checked.problems] == []
    assert checked.spec is not None
    assert (checked.spec.source.dag_id, checked.spec.source.connection) == (f"example_{name}", name)


def test_every_example_is_played() -> None:
    tests = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert set(NAMES) == tests - {"all"}
