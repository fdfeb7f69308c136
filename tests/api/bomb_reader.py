"""Reads the answer at a URL in a process with little memory; prints the error and the peak in MiB. Arguments: kind, URL."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.errors import ApiRequestFailed


async def _ask(url: str) -> None:
    async with AsyncOAuthSession(url) as session:
        await session.get("/bomb")


def main(kind: str, url: str) -> None:
    try:
        if kind == "async":
            asyncio.run(_ask(url))
        else:
            with OAuthSession(url) as session:
                session.get("/bomb")
    except ApiRequestFailed as error:
        print(type(error).__name__, error.what)
    print(_peak_mib())


def _peak_mib() -> int:
    """The peak of this program; ``getrusage`` would count that of the process which started it, too."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) // 1024  # type: ignore[index]  # always there


if __name__ == "__main__":
    main(*sys.argv[1:])
