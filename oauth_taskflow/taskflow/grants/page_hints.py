"""Hints for readers of the page OAuth, who may have no shell: they name its button in place of a command."""

from __future__ import annotations

import re

_COMMAND = re.compile(
    r":? (?:Run:? )?airflow oauth login \S+?(?: --(?:device|paste))?(?=[.,;]?(?:\s|$))"
)


def name_button(hint: str) -> str:
    """Returns ``hint`` with "with Connect" in place of the command ``airflow oauth login``."""
    return _COMMAND.sub(" with Connect", hint)
