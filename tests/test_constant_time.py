"""Secrets, and hashes of secrets that guard writes, are compared in constant time; a clock cannot show that, the code can."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_taskflow.oauth.login.authorization import Authorization
from oauth_taskflow.tokens.state import transitions

PACKAGE = Path(__file__).resolve().parents[1] / "oauth_taskflow"
# The state of a login; the hash of the refresh token that a write depends on; hashes of other secrets of a connection.
GUARDS = {"oauth": {"state"}, "tokens": {"fingerprint", "lineage", "mark"}}


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def plain_comparisons(folder: str) -> Iterator[str]:
    """Every ``==`` and ``!=`` whose side is one of the guards of ``folder``."""
    for path in (PACKAGE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
                continue
            if GUARDS[folder] & {name_of(side) for side in (node.left, *node.comparators)}:
                yield f"{path.name}: {ast.unparse(node)}"


@pytest.mark.parametrize("folder", GUARDS)
def test_values_that_guard_a_login_or_a_write_are_never_compared_plainly(folder: str) -> None:
    assert list(plain_comparisons(folder)) == []


@pytest.mark.parametrize("compares", [Authorization.is_mine, transitions.is_same])
def test_those_values_are_compared_in_constant_time(compares: object) -> None:
    assert callable(compares)
    assert "hmac.compare_digest(" in inspect.getsource(compares)
