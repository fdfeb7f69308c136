"""How many examples a property gets: the profile of the run decides (``tests/lanes.py``), and a property multiplies it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import HealthCheck, settings


def examples(
    times: float = 1.0, *, suppress_health_check: Iterable[HealthCheck] = (), **options: Any
) -> settings:
    """Settings with ``times`` as many examples as the run's profile: fewer where one costs much, more where it costs little.

    ``suppress_health_check`` is added to what the profile suppresses; ``options`` are others of ``hypothesis.settings``.
    """
    profile = settings()
    return settings(
        max_examples=max(1, round(profile.max_examples * times)),
        suppress_health_check=[*profile.suppress_health_check, *suppress_health_check],
        **options,
    )
