"""Functions of the package are at most three blocks deep (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "oauth_taskflow"
MOST = 3
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


def find_depths(statements: list[ast.stmt], depth: int = 0) -> Iterator[tuple[int, int]]:
    """The line of each block and the number of blocks of its function around and with it; ``elif`` adds none."""
    for node in statements:
        if isinstance(node, _DEFINITIONS):
            yield from find_depths(node.body)
        elif isinstance(node, _BLOCKS):
            yield node.lineno, depth + 1
            for body, is_alternative in list_bodies(node):
                is_elif = is_alternative and [*map(type, body)] == [ast.If]
                yield from find_depths(body, depth if is_elif else depth + 1)


def list_bodies(node: ast.stmt) -> Iterator[tuple[list[ast.stmt], bool]]:
    """The lists of statements in a block, each with whether it is that of ``else``."""
    yield getattr(node, "body", []), False
    yield getattr(node, "orelse", []), isinstance(node, ast.If)
    yield getattr(node, "finalbody", []), False
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield part.body, False


def find_deep(text: str) -> list[int]:
    return [line for line, depth in find_depths(ast.parse(text).body) if depth > MOST]


def test_no_function_is_more_than_three_blocks_deep() -> None:
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if (lines := find_deep(path.read_text()))
    }
    assert found == {}


def test_the_fourth_block_is_found_and_elif_is_none() -> None:
    deep = "def f():\n for a in b:\n  with a:\n   try:\n    pass\n   except E:\n    if a: pass\n"
    assert find_deep(deep) == [7]
    chain = "def f():\n for a in b:\n  with a:\n   if c: pass\n   elif d: pass\n   elif e: pass\n   else: pass\n"
    assert find_deep(chain) == []
