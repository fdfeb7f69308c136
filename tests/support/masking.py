"""Forgets the secrets that tests announced in this process."""

from __future__ import annotations

import sys

from oauth_taskflow import secret_registry


def forget_secrets() -> None:
    """Empty our registry and Airflow's maskers.

    Airflow compiles one pattern of all secrets again with each new one: those of all tests would cost minutes. And some tests
    have secrets of one character, which would hide parts of any log.
    """
    for name in ("airflow._shared.secrets_masker", "airflow.sdk._shared.secrets_masker"):
        if (maskers := sys.modules.get(name)) is not None:
            maskers.reset_secrets_masker()
    secret_registry._known.clear()
