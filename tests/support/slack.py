"""A Slack on a free port of 127.0.0.1: incoming webhooks, and ``chat.postMessage`` of its API.

Answers as https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks and
https://docs.slack.dev/reference/methods/chat.postMessage say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.api.scripted import Asked, Reply, ScriptedApi, scripted

WEBHOOK_TOKEN = "T000/B000/NOT-TO-BE-SEEN-webhook"
API_TOKEN = "xoxb-NOT-TO-BE-SEEN-api"


class Slack:
    """``messages`` are the JSON bodies in order of arrival; ``trouble`` is answered instead of keeping them."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.trouble: Reply | None = None
        self.server: ScriptedApi

    def answer(self, asked: Asked) -> Reply:
        """Answers one request."""
        is_webhook = asked.path == f"/services/{WEBHOOK_TOKEN}"
        is_known = asked.headers.get("Authorization") == f"Bearer {API_TOKEN}"
        if self.trouble is not None:
            return self.trouble
        if not (is_webhook or (asked.path == "/api/chat.postMessage" and is_known)):
            return Reply({"ok": False, "error": "invalid_auth"}, status=403)
        self.messages.append(asked.json)
        if is_webhook:
            return Reply(b"ok", headers={"Content-Type": "text/plain"})
        return Reply({"ok": True, "channel": "C0", "ts": "1.0"})

    def webhook_connection(self) -> dict[str, object]:
        """An Airflow connection of type ``slackwebhook``."""
        host = f"{self.server.url}/services"
        return {"conn_type": "slackwebhook", "host": host, "password": WEBHOOK_TOKEN}

    def api_connection(self) -> dict[str, object]:
        """An Airflow connection of type ``slack``."""
        extra = {"base_url": f"{self.server.url}/api/"}
        return {"conn_type": "slack", "password": API_TOKEN, "extra": extra}


@contextmanager
def slack_server() -> Iterator[Slack]:
    """A running server."""
    slack = Slack()
    with scripted(slack.answer) as slack.server:
        yield slack
