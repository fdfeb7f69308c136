"""The key of ``fields.hash`` comes from Airflow's configuration, and shows in no log."""

from __future__ import annotations

import pytest

from oauth_taskflow import secret_registry
from oauth_taskflow.errors import SpecError
from oauth_taskflow.taskflow.config import hash_key
from oauth_taskflow.taskflow.provider_info import get_provider_info

pytestmark = pytest.mark.airflow
NAME = "AIRFLOW__OAUTH_TASKFLOW__HASH_KEY"
KEY = "a-long-random-text-of-our-own"


def test_without_configuration_no_hash_key_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    assert hash_key() is None
    monkeypatch.setenv(NAME, "  ")
    assert hash_key() is None


def test_airflow_masks_the_hash_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, f" {KEY}\n")
    assert hash_key() == KEY
    assert KEY in secret_registry.list_secrets()


def test_a_short_key_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "s3cret")
    with pytest.raises(SpecError, match="fewer than 16 characters") as failure:
        hash_key()
    assert "s3cret" not in str(failure.value)


def test_a_fernet_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fernet = "x" * 43 + "="
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", f"{'y' * 43}=,{fernet}")
    monkeypatch.setenv(NAME, fernet)
    with pytest.raises(SpecError, match="is one of Airflow's Fernet keys") as failure:
        hash_key()
    assert fernet not in str(failure.value)


def test_the_option_hash_key_is_declared_as_sensitive() -> None:
    assert get_provider_info()["config"]["oauth_taskflow"]["options"]["hash_key"]["sensitive"]
