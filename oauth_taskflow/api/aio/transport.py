"""Translates the options of ``OAuthSession`` for ``httpx``: time-outs, certificates, proxies and its log."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import httpx
from requests.utils import prepend_scheme_if_needed

from oauth_taskflow.api.session import Timeout
from oauth_taskflow.api.tls_files import usable_file
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.redaction import remove_secrets
from oauth_taskflow.secret_registry import list_secrets


def httpx_timeout(timeout: Timeout | None) -> httpx.Timeout:
    """Connect and read time-out in seconds; waiting for a free connection has none, because that queue is ours."""
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return httpx.Timeout(connect=connect, read=read, write=read, pool=None)


def tls_context(
    *, verify: bool | str, cert: str | tuple[str, str] | None, conn_id: str = ""
) -> ssl.SSLContext:
    """The TLS context for ``verify`` and ``cert`` of ``requests``: a CA file or folder, a client certificate.

    Raises:
        ConnectionConfigError: a file is missing or is not a certificate.
    """
    with usable_file("verify", conn_id):
        if isinstance(verify, str):
            is_folder = Path(verify).is_dir()
            context = ssl.create_default_context(
                cafile=None if is_folder else verify, capath=verify if is_folder else None
            )
        elif verify and cert is None:
            context = _default_context()
        else:
            context = httpx.create_ssl_context(verify=verify, trust_env=False)
    if cert is not None:
        with usable_file("cert", conn_id):
            context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


@cache
def _default_context() -> ssl.SSLContext:
    """One for all sessions of a process: reading the certificates of all authorities takes 20 ms."""
    return httpx.create_ssl_context(trust_env=False)


def proxy_mounts(
    proxies: Mapping[str, str], context: ssl.SSLContext, conn_id: str = ""
) -> dict[str, httpx.AsyncHTTPTransport]:
    """A transport for each of ``requests``' proxies, keyed ``https``, ``https://host`` or ``all``.

    Raises:
        ConnectionConfigError: one is not an address, or of an unsupported kind.
    """
    try:
        return {
            pattern if "://" in pattern else f"{pattern}://": httpx.AsyncHTTPTransport(
                # requests reads an address without a scheme as http; httpx rejects it.
                verify=context,
                proxy=httpx.Proxy(prepend_scheme_if_needed(proxy, "http")),  # type: ignore[no-untyped-call]  # that of requests
                trust_env=False,
            )
            for pattern, proxy in proxies.items()
            if proxy
        }
    except (ValueError, httpx.InvalidURL, ImportError) as error:
        # Not chained: the text may quote the proxy's password.
        raise ConnectionConfigError(
            f"A proxy cannot be used ({type(error).__name__})",
            conn_id=conn_id,
            field="proxies",
            hint="Write it as http://host:port; a SOCKS proxy needs the package socksio.",
        ) from None


class _WithoutQueries(logging.Filter):
    """Removes queries and announced secrets from the URLs that ``httpx`` logs: they may contain an API key."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_drop_query(value) for value in record.args)
        return True


def _drop_query(value: object) -> object:
    if not isinstance(value, httpx.URL):
        return value
    # Some APIs want their secret in the path.
    return remove_secrets(str(value.copy_with(query=None)), list_secrets())


def keep_queries_out_of_logs() -> None:
    """Make the logger of ``httpx`` omit the queries of URLs in this process."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(present, _WithoutQueries) for present in logger.filters):
        logger.addFilter(_WithoutQueries())
