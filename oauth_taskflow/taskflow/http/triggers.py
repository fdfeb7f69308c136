"""Triggers of the deferrable operator and sensor.

A trigger holds the id of a connection. The triggerer resolves its token each time the trigger runs, so Airflow never
stores the token with the trigger.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.taskflow.http.call import HttpCall, OpenCall
from oauth_taskflow.taskflow.http.events import error_event, success_event

# Airflow's database stores it. In a rolling upgrade the triggerer may run an earlier release, which has this module only.
_STORED_MODULE = "oauth_taskflow.taskflow.triggers"


class OAuth2HttpTrigger(BaseTrigger):
    """Makes one call and fires with its response, or with its typed error.

    Arguments are the fields of ``HttpCall``.
    """

    def __init__(self, **call: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.call = HttpCall(**call)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path, and the fields of the call."""
        return f"{_STORED_MODULE}.{type(self).__name__}", self.call.serialize()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event."""
        try:
            async with self.call.open() as call:
                response = await call.send()
            if call.checks_status:
                response.raise_for_status()
            event = success_event(response)
        except OAuthTaskflowError as error:
            event = error_event(error)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's


class OAuth2HttpSensorTrigger(BaseTrigger):
    """Repeats a call until it succeeds, then fires; a typed error fires at once.

    Args:
        poke_interval: seconds between calls.
        not_yet: statuses after which the call is repeated, as text.
        call: the fields of ``HttpCall``.
    """

    def __init__(
        self, *, poke_interval: float = 5.0, not_yet: Sequence[str] = ("404",), **call: Any
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.call = HttpCall(**call)
        self.poke_interval = poke_interval
        self.not_yet = list(not_yet)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path, the call and when to repeat it."""
        own = {"poke_interval": self.poke_interval, "not_yet": self.not_yet}
        return f"{_STORED_MODULE}.{type(self).__name__}", {**self.call.serialize(), **own}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event."""
        try:
            async with self.call.open() as call:
                await self._wait_until_available(call)
            event: dict[str, Any] = {"status": "success"}
        except OAuthTaskflowError as error:
            event = error_event(error)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's

    async def _wait_until_available(self, call: OpenCall) -> None:
        while True:
            response = await call.send()
            if not call.checks_status:
                return
            if not is_not_yet(response.status_code, self.not_yet):
                response.raise_for_status()
                return
            await asyncio.sleep(self.poke_interval)


def is_not_yet(status: int | None, not_yet: Sequence[str]) -> bool:
    """Whether ``not_yet`` lists ``status``; entries may have a text after a colon, as in ``404:Not Found``."""
    return any(str(status) == entry.partition(":")[0].strip() for entry in not_yet)
