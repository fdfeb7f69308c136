"""Dotted names of the package exist where nothing else looks: in code inside strings, in pages and in the changelog.

A type checker follows imports, but not those of a DAG file that a test writes, nor a path that a page recommends.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("tests", "benchmarks", "docs", "scripts", "dag_specs")
FILES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *(
        path
        for name in FOLDERS
        for path in sorted((ROOT / name).rglob("*.*"))
        if path != Path(__file__)
    ),
]
_IMPORT = re.compile(r"from (oauth_taskflow[\w.]*) import (\([^)]*\)|[^\n;\"'\\]*)")
_DOTTED = re.compile(r"\boauth_taskflow(?:\.\w+)+")
# Metrics and the database file are called like modules; two tests ask for names that must not exist.
_OTHER = re.compile(
    r"oauth_taskflow\.(token_refresh\w*|consent_due|notice|notices|audit|db|nonsense|testing\.Nothing)\Z"
)


# Libraries of tests/tables, in its own environment.
NOT_INSTALLED_HERE = {"deltalake", "dlt", "pyiceberg"}


def named_in(text: str) -> Iterator[str]:
    """Yields every dotted name of the package in ``text``, imported names as ``module.name``."""
    yield from _DOTTED.findall(text)
    for module, names in _IMPORT.findall(text):
        for name in re.sub(r"#[^\n]*", "", names.strip("()")).split(","):
            plain = name.strip().partition(" as ")[0].strip()
            if plain.isidentifier():
                yield f"{module}.{plain}"


def is_there(name: str) -> bool:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] in NOT_INSTALLED_HERE:
                return True
            continue
        for attribute in parts[end:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def read(path: Path) -> str:
    return path.read_text() if path.suffix in {".py", ".md", ".sh", ".yaml", ".toml"} else ""


@pytest.mark.airflow
@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")  # by Airflow's API
def test_every_name_of_the_package_that_is_written_somewhere_exists() -> None:
    names = {
        (name, path)
        for path in FILES
        if "node_modules" not in path.parts
        for name in named_in(read(path))
    }
    wanted = {name for name, _ in names if not _OTHER.match(name)}
    assert len(wanted) > 500
    missing = {name for name in wanted if not is_there(name)}
    assert [
        f"{path.relative_to(ROOT)}: {name}" for name, path in sorted(names) if name in missing
    ] == []


def test_a_name_that_moved_is_found_in_code_inside_a_string() -> None:
    text = "from oauth_taskflow.errors import (\n    ApiError,\n    Gone as Other,  # moved\n)"
    assert [name for name in named_in(text) if not is_there(name)] == ["oauth_taskflow.errors.Gone"]
