"""The modes in which a run writes to a table."""

from __future__ import annotations

from typing import Literal

Mode = Literal["append", "replace_run", "merge"]
