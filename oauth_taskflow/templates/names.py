"""Names that templates of every request may use, in specs and in sessions."""

from __future__ import annotations

PAGE = "page"
"""Name of the values of a page; there in requests whose paginator has any."""

PAGE_NAMES = frozenset({"token", "number", "offset", "size"})
"""Attributes of ``page``."""

OMIT = "omit"
"""Name of the value that leaves out the parameter, header, key or list item it stands for."""
