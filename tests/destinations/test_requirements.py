"""Libraries of an extra: looked up without importing them, and named with the command that installs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.requirements import (
    Requirement,
    describe_missing,
    find_missing,
    require_libraries,
)
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.schema.types import Options

ROOT = Path(__file__).resolve().parents[2]


class LakeOptions(Options, frozen=True, kw_only=True, tag_field="type", tag="lake"):
    needs: tuple[Requirement, ...] = ()

    def requirements(self) -> tuple[Requirement, ...]:
        return self.needs


NOTHING = Requirement("no_such_library", "lake")


def test_options_without_needs_lack_nothing() -> None:
    assert find_missing(None) == []
    assert find_missing(FileDestination(path="/data")) == []
    assert find_missing(LakeOptions(needs=(Requirement("json", "x"),))) == []


def test_a_missing_library_fails_with_the_command_that_installs_it() -> None:
    options = LakeOptions(needs=(Requirement("json", "x"), NOTHING, NOTHING))
    with pytest.raises(DestinationError) as caught:
        require_libraries(options)
    assert str(caught.value) == (
        "The destination needs a library: no_such_library is not installed at the destination of type 'lake'. "
        "Install on every worker: pip install 'oauth-taskflow[lake]'."
    )


def test_several_libraries_are_one_command() -> None:
    what, hint = describe_missing([NOTHING, Requirement("b", "s3"), Requirement("c", "s3")])
    assert what == "no_such_library, b, c are not installed"
    assert hint == "Install on every worker: pip install 'oauth-taskflow[lake,s3]'."


def test_a_url_says_which_library_opens_it() -> None:
    needs = {
        path: [each.extra for each in FileDestination(path=path).requirements()]
        for path in ("s3://lake/a", "abfs://lake/a", "gs://lake/a", "/data", "{{ params.lake }}/a")
    }
    assert needs == {
        "s3://lake/a": ["s3"],
        "abfs://lake/a": ["azure"],
        "gs://lake/a": [],
        "/data": [],
        "{{ params.lake }}/a": [],
    }


@pytest.mark.parametrize("blocked", [None, object()])
def test_a_module_that_cannot_be_imported_counts_as_missing(
    blocked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "blocked_library", blocked)
    needed = Requirement("blocked_library", "lake")
    assert find_missing(LakeOptions(needs=(needed,))) == [needed]


SCRIPT = """
import sys
sys.modules["s3fs"] = None
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.requirements import find_missing
print([each.extra for each in find_missing(FileDestination(path="s3://lake/a"))])
assert not {"s3fs", "pyarrow", "fsspec"} & {name for name, module in sys.modules.items() if module}
"""


def test_looking_imports_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("['s3']\n", "")
