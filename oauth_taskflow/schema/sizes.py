"""Sizes in bytes, as people write them."""

from __future__ import annotations

import re

PATTERN = r"^\d+(\.\d+)? ?([kKMGT]i?)?B$"
_FORM = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<prefix>[kKMGT]?)(?P<binary>i?)B")


def read_size(size: int | str) -> int:
    """Returns a size in bytes: ``128MB`` are 128,000,000 of them, ``128MiB`` 134,217,728.

    Raises:
        ValueError: it has another form.
    """
    if isinstance(size, int):
        return size
    found = _FORM.fullmatch(size)
    if found is None:
        raise ValueError(f"{size!r} is not a size")
    base = 1024 if found["binary"] else 1000
    return int(float(found["number"]) * base ** " KMGT".index(found["prefix"].upper() or " "))
