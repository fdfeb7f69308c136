"""The options of ``OAuthSession`` in the words of ``httpx``: time-outs, certificates, proxies; and what it logs."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path

import httpx

from oauth_taskflow.api.session import Timeout


def httpx_timeout(timeout: Timeout | None) -> httpx.Timeout:
    """Connect and read time-out in seconds. Waiting for a free connection has none: that is our own queue."""
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return httpx.Timeout(connect=connect, read=read, write=read, pool=None)


def tls_context(*, verify: bool | str, cert: str | tuple[str, str] | None) -> ssl.SSLContext:
    """What ``verify`` and ``cert`` of ``requests`` mean: a CA file or folder, a client certificate."""
    if isinstance(verify, str):
        is_folder = Path(verify).is_dir()
        context = ssl.create_default_context(
            cafile=None if is_folder else verify, capath=verify if is_folder else None
        )
    else:
        context = httpx.create_ssl_context(verify=verify, trust_env=False)
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


def proxy_mounts(
    proxies: Mapping[str, str], context: ssl.SSLContext
) -> dict[str, httpx.AsyncHTTPTransport]:
    """A transport for each of ``requests``' proxies, keyed ``https``, ``https://host`` or ``all``."""
    return {
        pattern if "://" in pattern else f"{pattern}://": httpx.AsyncHTTPTransport(
            verify=context, proxy=httpx.Proxy(proxy), trust_env=False
        )
        for pattern, proxy in proxies.items()
        if proxy
    }


class _WithoutQueries(logging.Filter):
    """``httpx`` logs every URL whole; an API key may stand in its query."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_shown(value) for value in record.args)
        return True


def _shown(value: object) -> object:
    return value.copy_with(query=None) if isinstance(value, httpx.URL) else value


def keep_queries_out_of_logs() -> None:
    """Let the logger of ``httpx`` show URLs without their queries, in this process, from now on."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(known, _WithoutQueries) for known in logger.filters):
        logger.addFilter(_WithoutQueries())
