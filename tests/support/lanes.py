"""Parameters of which the gate takes some, and ``--full`` all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def gate_and_full(gate: Iterable[Any], full: Iterable[Any]) -> list[Any]:
    """Returns the values of ``gate``, then those of ``full``, which are left out without ``--full``."""
    return [*gate, *(pytest.param(each, marks=pytest.mark.full) for each in full)]
