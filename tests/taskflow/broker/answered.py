"""Carries questions about watermarks to a store, as the look-up of connections does."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.taskflow.broker import watermark_server
from oauth_taskflow.taskflow.broker.questions import read_question, write_question
from oauth_taskflow.taskflow.broker.watermark_server import answer_watermark
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.store import WatermarkStore

TOKEN = "0123456789abcdef" * 2


class Wire:
    """Carries questions to a store as the look-up does, and may repeat them on their way."""

    def __init__(self, store: WatermarkStore, repeat: int = 1) -> None:
        self._store, self._repeat = store, repeat
        self.ids: list[str] = []

    def __call__(self, conn_id: str, kind: str, body: Any, **_: Any) -> Any:
        text = write_question(kind, body)[1]
        self.ids.append(text)
        found = settings_of(conn_id)
        answers = [
            answer_watermark(read_question(text).body, found, "") for _ in range(self._repeat)
        ]
        return msgspec.json.decode(msgspec.json.encode(answers[-1]))


def settings_of(conn_id: str) -> ConnectionSettings:
    empty = dict.fromkeys(("schema", "login", "password", "port"))
    extra = json.dumps({"auth_type": "none"})
    found = SimpleNamespace(
        conn_id=conn_id, conn_type="oauth2", host="http://a.test", extra=extra, **empty
    )
    return parse_connection(found)


def refuse(identity: EndpointId) -> TokenStoreError:
    raise AssertionError(identity)


def answer_from(store: WatermarkStore, patch: pytest.MonkeyPatch) -> None:
    """Lets the API server answer from ``store``."""
    patch.setattr(watermark_server, "_open", lambda _: store)
    patch.setattr(watermark_server, "store_url", str)
    patch.setattr(watermark_server, "watermark_store_url", str)
