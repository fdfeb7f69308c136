"""Every requirement in docs/conformance/ is shown by a test that exists, or says why it is not done."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / "docs" / "conformance").glob("*.md")), ROOT / "docs" / "deployment.md"]
COLUMNS = ["Requirement", "Shown by"]
NOT_DONE = "Not done: "
# "tests/oauth/login/test_pkce.py::test_name" or with "[id]" of a parametrised case behind it.
TEST_ID = re.compile(r"(?P<file>tests/[\w/]+\.py)::(?P<name>\w+)(?P<case>\[.+\])?")
# The shortest sentence that can hold a reason and a way out; "Not done: not needed." gives none.
REASON_LENGTH = 60


def cells(line: str) -> list[str]:
    r"""The cells of a table row; ``\|`` is a bar inside a cell."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def tables(text: str) -> Iterator[list[tuple[int, list[str]]]]:
    """The tables of a page, each as its rows with line numbers."""
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith("|"):
            rows.append((number, cells(line)))
        elif rows:
            yield rows
            rows = []


@cache
def functions(file: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a test file by name; an empty mapping if the file is missing."""
    path = ROOT / file
    if not path.is_file():
        return {}
    found = ast.parse(path.read_text(encoding="utf-8")).body
    return {n.name: n for n in found if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}


def problem_of_test(written: str) -> str | None:
    """The problem with one test id, or None."""
    found = TEST_ID.fullmatch(written)
    if found is None:
        return f"'{written}' is no test id such as tests/oauth/login/test_pkce.py::test_name"
    file, name = found["file"], found["name"]
    if not (ROOT / file).is_file():
        return f"there is no file {file}"
    node = functions(file).get(name)
    if node is None or not name.startswith("test_"):
        near = get_close_matches(name, [n for n in functions(file) if n.startswith("test_")], 1)
        return f"{file} has no test {name}." + (f" Did you mean {near[0]}?" if near else "")
    marks = " ".join(ast.unparse(mark) for mark in node.decorator_list)
    if re.search(r"mark\.(skip|xfail)\b", marks):
        return f"{file}::{name} does not run: it is marked with {marks}"
    if found["case"] and "parametrize" not in marks:
        return f"{file}::{name} has no cases, so none is called {found['case']}"
    return None


def problems_of_reason(cell: str) -> Iterator[str]:
    if len(cell) < len(NOT_DONE) + REASON_LENGTH:
        yield f"the reason is too short to be one: '{cell}'"
    if not cell.endswith("."):
        yield f"the reason is no whole sentence: '...{cell[-20:]}'"
    for quoted in re.findall(r"`(tests/[^`]+)`", cell):
        if "::" in quoted and (problem := problem_of_test(quoted)):
            yield problem


def problems_of_evidence(cell: str) -> Iterator[str]:
    """The problems with the right cell of a row."""
    if cell.startswith(NOT_DONE):
        yield from problems_of_reason(cell)
        return
    written = re.findall(r"`([^`]+)`", cell)
    if not written:
        yield f"neither a test id in backticks nor a reason after '{NOT_DONE}': '{cell}'"
    elif left := re.sub(r"`[^`]+`|<br>|[,\s]", "", cell):
        yield f"something else beside the test ids: '{left}'"
    yield from filter(None, map(problem_of_test, written))


def problems(page: str, text: str) -> list[str]:
    """Everything that is wrong with a page, as ``page:line: what``."""
    found: list[str] = []
    seen: dict[str, int] = {}
    for (first, header), *rows in tables(text):
        if header != COLUMNS:
            found.append(f"{page}:{first}: the columns are {header} and not {COLUMNS}")
            continue
        if len(rows) < 2:
            found.append(f"{page}:{first}: a table without rows")
        for line, row in rows[1:]:
            found += [f"{page}:{line}: {what}" for what in problems_of_row(row, line, seen)]
    return found or ([] if seen else [f"{page}:1: no table of requirements"])


def problems_of_row(row: list[str], line: int, seen: dict[str, int]) -> Iterator[str]:
    if len(row) != len(COLUMNS):
        yield f"{len(row)} cells and not {len(COLUMNS)}; a bar inside a cell is written \\|"
        return
    requirement, evidence = row
    if not requirement:
        yield "no requirement"
    elif requirement in seen:
        yield f"the requirement of line {seen[requirement]} once more"
    seen.setdefault(requirement, line)
    if not evidence:
        yield f"nothing shows: {requirement}"
    else:
        yield from problems_of_evidence(evidence)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_requirement_has_a_test_or_a_reason(page: Path) -> None:
    found = problems(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))
    assert not found, "\n" + "\n".join(found)


HERE = "tests/test_conformance.py"


@pytest.mark.parametrize(
    ("evidence", "wrong"),
    [
        ("", "nothing shows: A"),
        ("obvious", "neither a test id in backticks nor a reason after 'Not done: ': 'obvious'"),
        ("`test_a`", "'test_a' is no test id such as tests/oauth/login/test_pkce.py::test_name"),
        ("`tests/test_gone.py::test_a`", "there is no file tests/test_gone.py"),
        (
            f"`{HERE}::test_a_map_without_faults_has_no_problem`",
            f"{HERE} has no test test_a_map_without_faults_has_no_problem."
            " Did you mean test_a_map_without_faults_has_no_problems?",
        ),
        (f"`{HERE}::tables`", f"{HERE} has no test tables."),
        (
            f"`{HERE}::test_a_map_without_faults_has_no_problems[x]`",
            f"{HERE}::test_a_map_without_faults_has_no_problems has no cases,"
            " so none is called [x]",
        ),
        (
            f"`{HERE}::test_a_map_without_faults_has_no_problems` too",
            "something else beside the test ids: 'too'",
        ),
        ("Not done: not needed.", "the reason is too short to be one: 'Not done: not needed.'"),
        (
            f"Not done: see `tests/test_gone.py::test_a`, {'a' * 60}.",
            "there is no file tests/test_gone.py",
        ),
        (
            f"Not done: {'reason ' * 10}",
            "the reason is no whole sentence: '...reason reason reason'",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_said(evidence: str, wrong: str) -> None:
    page = f"| Requirement | Shown by |\n|---|---|\n| A | {evidence} |\n"
    assert problems("p.md", page) == [f"p.md:3: {wrong}"]


def test_what_is_wrong_with_a_page_is_said() -> None:
    row = f"| A | `{HERE}::test_what_is_wrong_with_a_page_is_said` |"
    head = "| Requirement | Shown by |\n|---|---|"
    assert problems("p.md", "words") == ["p.md:1: no table of requirements"]
    assert problems("p.md", f"{head}\n") == ["p.md:1: a table without rows"]
    assert problems("p.md", f"{head}\n{row}\n{row}\n") == [
        "p.md:4: the requirement of line 3 once more"
    ]
    assert problems("p.md", f"{head}\n| A | b | c |\n") == [
        r"p.md:3: 3 cells and not 2; a bar inside a cell is written \|"
    ]
    assert problems("p.md", "| A | B |\n|---|---|\n") == [
        "p.md:1: the columns are ['A', 'B'] and not ['Requirement', 'Shown by']"
    ]


def test_a_map_without_faults_has_no_problems() -> None:
    case = f"`{HERE}::test_every_requirement_has_a_test_or_a_reason[rfc.md]`"
    plain = f"`{HERE}::test_a_map_without_faults_has_no_problems`"
    reason = f"Not done: {'a true reason ' * 5}and a way out."
    rows = f"| A \\| B | {case} {plain} |\n| C | {reason} |\n"
    assert problems("p.md", f"# T\n\n| Requirement | Shown by |\n|---|---|\n{rows}") == []
