"""An ``httpx.AsyncClient`` that ends the log of its pulls when it is closed, in either way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from types import TracebackType

    from oauth_taskflow.api.pull.pull_log import PullLog


class LoggedClient(httpx.AsyncClient):
    """A client with the log of its pulls; see ``PullLog``."""

    pulls: PullLog

    async def aclose(self) -> None:
        """As ``httpx.AsyncClient.aclose``."""
        self.pulls.close()
        await super().aclose()

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self.pulls.close()
        await super().__aexit__(kind, error, trace)
