"""The event hooks of an ``httpx.AsyncClient`` that sends a request several times: authors see one response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx

from oauth_taskflow.api.aio.logged_client import LoggedClient


class HookedClient(LoggedClient):
    """A client that calls response hooks only when ``_run_hooks`` says so."""

    @property
    def event_hooks(self) -> dict[str, list[Callable[..., Any]]]:
        """As in ``httpx``, but response hooks are called with redirects and the final response only."""
        return self._hooks

    @event_hooks.setter
    def event_hooks(self, hooks: Mapping[str, Iterable[Callable[..., Any]]]) -> None:
        self._hooks = {kind: list(hooks.get(kind, ())) for kind in ("request", "response")}

    def _use_request_hooks(self) -> None:
        """Let ``httpx`` call the request hooks. They are read now, because authors change the mapping and its lists."""
        httpx.AsyncClient.event_hooks.fset(self, {"request": self._hooks["request"]})  # type: ignore[attr-defined]  # a property's

    async def _run_hooks(self, response: httpx.Response) -> None:
        """Call the author's response hooks with ``response``."""
        try:
            for hook in self._hooks["response"]:
                await hook(response)
        except BaseException:
            await response.aclose()
            raise
