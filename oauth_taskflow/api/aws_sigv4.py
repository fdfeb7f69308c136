"""Signs requests with AWS Signature Version 4, by botocore's signer (extra ``aws``).

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html: the signature covers method, path, query, host, body
and time, so each attempt and each redirect is signed again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

import requests

from oauth_taskflow import secret_registry
from oauth_taskflow.api.auth import StaticAuth
from oauth_taskflow.api.request_secrets import put_header, redact_request_url, remember_secrets
from oauth_taskflow.errors import ApiRequestFailed, ConnectionConfigError
from oauth_taskflow.secret_values import Hidden, SecretValue

# These services want the hash of the body in a header; S3 alone signs the path as it is, encoded once.
_WITH_BODY_HASH = frozenset({"aoss", "glacier"})
_UNENCODED_PATH = frozenset({"s3", "s3-outposts", "s3-object-lambda"})
_BODY_HASH = "X-Amz-Content-SHA256"
_OURS = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", _BODY_HASH)
_UNRESERVED = "-_.~"
_SIGNED = frozenset({"Content-Type", "Content-Md5"})
_OURS_IN_TITLE = frozenset(name.title() for name in _OURS)
_signing: ContextVar[bool] = ContextVar("oauth_taskflow_signing", default=False)


class AwsKeys(SecretValue, frozen=True):
    """An access key; without an id, botocore looks for credentials where all tools of AWS do, in ``profile`` if named."""

    access_key_id: str = ""
    secret_access_key: Hidden[str] = ""
    session_token: Hidden[str] = ""
    profile: str = ""


class AwsSigV4Auth(StaticAuth):
    """Signs for ``service`` (``execute-api``) in ``region`` (``eu-central-1``). Safe for threads.

    Raises:
        ConnectionConfigError: botocore is not installed, or finds no credentials.
    """

    def __init__(self, keys: AwsKeys, *, region: str, service: str, conn_id: str = "") -> None:
        self._region, self._service, self._conn_id = region, service, conn_id
        self._credentials = _find_credentials(keys, conn_id)
        self._known = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"AwsSigV4Auth({self._service!r}, {self._region!r})"

    def apply(self, request: requests.PreparedRequest) -> None:
        """Sign ``request`` as it is now; a signature of an earlier attempt is replaced.

        Raises:
            ApiRequestFailed: its body is a stream, or AWS's credentials cannot be refreshed.
        """
        from botocore.auth import S3SigV4Auth, SigV4Auth  # noqa: PLC0415 - an extra
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - as above

        keys = self._freeze(request)
        request.url = normalize_url(request.url or "")
        headers, body = _headers_to_sign(request), _read_body(request)
        unsigned = AWSRequest(request.method, request.url, headers, body)
        unencoded = self._service in _UNENCODED_PATH
        signer = (S3SigV4Auth if unencoded else SigV4Auth)(keys, self._service, self._region)
        if self._service in _WITH_BODY_HASH:
            unsigned.headers[_BODY_HASH] = signer.payload(unsigned)
        with _quiet():
            signer.add_auth(unsigned)
        for name in _OURS:
            request.headers.pop(name, None)
            if name in unsigned.headers:
                put_header(request, name, unsigned.headers[name])

    def _freeze(self, request: requests.PreparedRequest) -> Any:
        """The keys of this moment: those of a role are refreshed by botocore before they end."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - an extra

        try:
            keys = self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise ApiRequestFailed(
                f"AWS credentials could not be refreshed ({type(error).__name__})",
                where=f"for connection {self._conn_id!r}",
                hint="Look at the role or profile of this machine.",
                retryable=True,
            ) from None
        secrets = tuple(filter(None, (keys.secret_key, keys.token)))
        with self._lock:
            if hash(secrets) != self._known:
                secret_registry.add(secrets)
                self._known = hash(secrets)
        remember_secrets(request, *secrets)
        return keys


def normalize_url(url: str) -> str:
    """``url`` with path and query encoded as AWS encodes them before it signs: a blank is %20, escapes are in capitals."""
    parts = urlsplit(url)
    path = "/".join(_encode(segment) for segment in (parts.path or "/").split("/"))
    query = "&".join(_encode_pair(pair) for pair in parts.query.split("&") if pair)
    return urlunsplit(parts._replace(path=path, query=query))


def _encode_pair(pair: str) -> str:
    name, equals, value = pair.replace("+", " ").partition("=")
    return f"{_encode(name)}{equals}{_encode(value)}"


def _encode(text: str) -> str:
    return quote(unquote_to_bytes(text), safe=_UNRESERVED)


def _headers_to_sign(request: requests.PreparedRequest) -> dict[str, str]:
    """The headers of ``request`` that no proxy changes; the signer adds the host."""
    names = {name: name.title() for name in request.headers}
    return {
        name: str(request.headers[name])
        for name, title in names.items()
        if (title in _SIGNED or title.startswith("X-Amz-")) and title not in _OURS_IN_TITLE
    }


def _read_body(request: requests.PreparedRequest) -> Any:
    """The body as bytes or a seekable file.

    Raises:
        ApiRequestFailed: it is a stream.
    """
    body: Any = request.body
    if body is None or isinstance(body, bytes):
        return body or b""
    if isinstance(body, str):
        request.body = body.encode()
        return request.body
    if hasattr(body, "tell") and hasattr(body, "read") and hasattr(body, "seek"):
        return body
    raise ApiRequestFailed(
        "A stream cannot be signed (AWS Signature Version 4)",
        where=f"at {request.method} {redact_request_url(request)}",
        hint="Pass bytes or a seekable file: the body is a part of what is signed.",
    )


def _find_credentials(keys: AwsKeys, conn_id: str) -> Any:
    try:
        from botocore.credentials import Credentials  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConnectionConfigError(
            "AWS's signer is not installed",
            conn_id=conn_id,
            field="auth_type",
            hint="Install it on every worker: pip install 'oauth-taskflow[aws]'.",
        ) from None
    if keys.access_key_id:
        return Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None)
    return _search_chain(keys.profile, conn_id)


@lru_cache(maxsize=16)
def _search_chain(profile: str, conn_id: str) -> Any:
    """The credentials of this machine, which botocore refreshes; kept, because a role's are fetched over the network."""
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - an extra
    from botocore.session import Session  # noqa: PLC0415 - as above

    reason = ""
    try:
        found = Session(profile=profile or None).get_credentials()
    except BotoCoreError as error:
        found, reason = None, f" ({type(error).__name__})"
    if found is None:
        raise ConnectionConfigError(
            f"This machine has no AWS credentials{reason}",
            conn_id=conn_id,
            field="aws_profile" if profile else "login",
            hint="Put access key id and secret access key into login and password, or give the worker a role.",
        )
    return found


class _KeepQuiet(logging.Filter):
    """Drops what botocore logs of our signatures: at DEBUG it prints the session token and the whole query."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the protocol's
        return not _signing.get()


_quiet_filter = _KeepQuiet()


@contextmanager
def _quiet() -> Iterator[None]:
    logging.getLogger("botocore.auth").addFilter(_quiet_filter)  # once, however often it is added
    before = _signing.set(True)
    try:
        yield
    finally:
        _signing.reset(before)
