"""Finds the texts inside a value of mappings and lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def find_texts(value: Any) -> Iterator[str]:
    """Yields every text inside ``value``, at any depth; keys of mappings do not count."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from find_texts(item)
