"""Request budgets on an event loop: whatever may ask the store of the budgets runs in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from oauth_taskflow.api.exchange import RequestPlan
from oauth_taskflow.api.rate_limit import Gate, GateKeeper, Permit
from oauth_taskflow.waits import BUDGET, note_wait

Sleep = Callable[[float], Awaitable[None]]


class AsyncGate:
    """A gate whose methods never block the event loop."""

    def __init__(self, gate: Gate, sleep: Sleep) -> None:
        self._gate, self._sleep = gate, sleep
        self._holding: asyncio.Future[None] | None = None

    async def pass_gate(self) -> AsyncPermit:
        """Wait until one more request may be sent; raises as ``Ticket.poll``."""
        return AsyncPermit(self, await self._take())

    async def _take(self) -> Permit:
        await self.finish_hold()
        with self._gate.enter() as ticket:
            while (wait := await asyncio.to_thread(ticket.poll)) > 0:
                ticket.waited += wait
                await self._sleep(wait)
            note_wait(BUDGET, ticket.waited)
            return ticket.permit

    async def confirm(self, permit: Permit) -> float:
        """As ``Permit.confirm``."""
        waited = 0.0
        while not permit.is_current():
            waited += permit.replace(await self._take())
        return waited

    async def learn(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of a response what the API says about its limits."""
        await asyncio.to_thread(self._gate.observe, headers)

    def hold(self, seconds: float) -> None:
        """As the gate itself, in a thread; an error is raised where that is awaited, by ``finish_hold``."""
        loop = asyncio.get_running_loop()
        self._holding = loop.run_in_executor(None, self._gate.hold, seconds)

    async def finish_hold(self) -> None:
        """Wait until a hold is kept where other workers find it.

        Raises:
            TokenStoreError: the store of the budgets cannot be asked.
        """
        holding, self._holding = self._holding, None
        if holding is not None:
            await holding


class AsyncPermit:
    """The right to send one request; see ``Permit``."""

    def __init__(self, gate: AsyncGate, permit: Permit) -> None:
        self._gate, self._permit = gate, permit
        self.waited = permit.waited
        self._opens_tunnel = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> float:
        """Observes the steps of ``httpcore``: confirms the right before the request is written; seconds waited for that.

        Opening a tunnel through a proxy is not the request.
        """
        if event.endswith("send_request_headers.started"):
            # The event of the end names no request.
            self._opens_tunnel = getattr(info.get("request"), "method", b"") == b"CONNECT"
            return 0.0 if self._opens_tunnel else await self._gate.confirm(self._permit)
        if event.endswith("send_request_headers.complete") and not self._opens_tunnel:
            self._permit.note_written()
        return 0.0


@asynccontextmanager
async def with_async_gate(
    plan: RequestPlan[AsyncGate], budgets: GateKeeper | None, url: str, sleep: Sleep
) -> AsyncIterator[RequestPlan[AsyncGate]]:
    """``plan`` with the gate of requests to ``url``, where a budget applies; a hold is kept when the block ends."""
    found = None if budgets is None else budgets.find_gate(url)
    if found is None:
        yield plan
        return
    gate = AsyncGate(found, sleep)
    try:
        yield replace(plan, gate=gate)
    finally:
        await gate.finish_hold()
