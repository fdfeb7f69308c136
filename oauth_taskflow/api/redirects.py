"""Redirects of an API call: followed within the allowed origins, with method and body as RFC 9110 §15.4 has it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import requests

from oauth_taskflow.api.auth import rewind
from oauth_taskflow.api.origins import AllowedOrigins
from oauth_taskflow.errors import ApiRequestFailed
from oauth_taskflow.redaction import redact_url

_KEEPS_BODY = frozenset({307, 308})


class Redirects:
    """The hops of one request. ``requests`` would send custom token headers along to foreign origins."""

    def __init__(
        self,
        session: requests.Session,
        origins: AllowedOrigins,
        sign: Callable[[requests.PreparedRequest], None],
    ) -> None:
        self._session = session
        self._origins = origins
        self._sign = sign
        self.history: list[requests.Response] = []

    def next_request(
        self, response: requests.Response, first: requests.PreparedRequest
    ) -> requests.PreparedRequest:
        """The request that ``response`` redirects to.

        Raises:
            ForeignOriginRefused: the target is outside the allowed origins.
            ApiRequestFailed: too many hops, or the body cannot be sent again.
        """
        _ = response.content  # frees the connection
        self.history.append(response)
        where = f"at {first.method} {redact_url(first.url or '')}"
        if len(self.history) > self._session.max_redirects:
            raise ApiRequestFailed("The API redirects without end", where=where)
        request = response.request.copy()
        target = self._session.get_redirect_target(response) or ""
        request.url = self._origins.accept(_absolute(response.url, target))
        self._session.rebuild_method(request, response)
        if response.status_code in _KEEPS_BODY:
            if not rewind(request):
                raise ApiRequestFailed(
                    "A redirect asks for the body again, which is a stream that cannot be rewound",
                    where=where,
                    hint="Pass bytes or a seekable file, or call the redirect's target directly.",
                )
        else:
            self._drop_body(request)
        request.headers.pop("Cookie", None)
        request.prepare_cookies(self._session.cookies)
        self._sign(request)
        return request

    @staticmethod
    def _drop_body(request: requests.PreparedRequest) -> None:
        for header in ("Content-Length", "Content-Type", "Transfer-Encoding"):
            request.headers.pop(header, None)
        request.body = None


def _absolute(base: str, target: str) -> str:
    url = urljoin(base, requests.utils.requote_uri(target))
    return url if urlsplit(url).fragment == "" else url.partition("#")[0]
