"""Every page of the documentation can be reached from README.md, and every link leads to a heading that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [
    README,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_LINK = re.compile(r"\]\((?![a-z]+:)([^)\s]+)\)")
_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[tuple[Path, str]]:
    """The relative links of ``page``: the file, and the anchor in it or an empty text."""
    found = (target.partition("#") for target in _LINK.findall(_CODE.sub("", page.read_text())))
    return [((page.parent / name).resolve() if name else page, anchor) for name, _, anchor in found]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of ``page``."""
    text = _CODE.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    made = {re.sub(r"[^\w\- ]", "", each.strip().lower()).replace(" ", "-") for each in plain}
    return made | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_heading(page: Path) -> None:
    broken = [
        f"{target.name}#{anchor}"
        for target, anchor in links(page)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert broken == []


def test_every_page_is_reachable_from_the_readme() -> None:
    reached, ahead = {README}, [README]
    while ahead:
        page = ahead.pop()
        pages = {
            each
            for target, _ in links(page)
            for each in (sorted(target.glob("*.md")) if target.is_dir() else [target])
            if each.suffix == ".md" and each not in reached
        }
        reached |= pages
        ahead += pages
    hidden = {page.relative_to(ROOT).as_posix() for page in PAGES} - {
        page.relative_to(ROOT).as_posix() for page in reached
    }
    assert hidden == set()


def test_the_guides_are_linked_from_the_readme_itself() -> None:
    named = {target.name for target, _ in links(README) if target.parent == ROOT / "docs"}
    guides = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert guides - named == set()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_and_name_that_contributors_are_led_to_is_there(name: str) -> None:
    """Paths in backticks exist, and a CamelCase or CAPITAL name is defined somewhere in the package."""
    code = re.findall(r"`([^`\n]+)`", _CODE.sub("", (ROOT / name).read_text()))
    paths = [
        each.partition("::")[0]
        for command in code
        for each in command.split()
        if re.fullmatch(r"[\w./]+/[\w./]*|[\w./]+\.py", each)
    ]
    roots = (
        ROOT,
        ROOT / "oauth_taskflow",
        ROOT / "oauth_taskflow" / "taskflow",
        ROOT / "oauth_taskflow" / "tokens",
    )
    assert len(paths) > 10
    assert [path for path in paths if not any((root / path).exists() for root in roots)] == []
    source = "\n".join(path.read_text() for path in (ROOT / "oauth_taskflow").rglob("*.py"))
    names = {
        each for each in code if re.fullmatch(r"(?:[A-Z][a-z]+){2,}|[A-Z]{3,}(?:_[A-Z]+)*", each)
    }
    assert [each for each in sorted(names) if not re.search(rf"\b{each}\b", source)] == []
