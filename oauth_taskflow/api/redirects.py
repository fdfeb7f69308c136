"""Redirects of an API call: followed within the allowed origins, with method and body as RFC 9110 §15.4 has it."""

from __future__ import annotations

from urllib.parse import urldefrag, urljoin

import requests
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar, merge_cookies

from oauth_taskflow.api.auth import Credentials, OAuth2Auth, rewind
from oauth_taskflow.api.errors import ApiCallFailed, add_library_class
from oauth_taskflow.api.origins import AllowedOrigins, is_unambiguous
from oauth_taskflow.api.request_secrets import redact_request_url, secrets_of
from oauth_taskflow.errors import ApiRequestFailed, ForeignOriginRefused


class Redirects:
    """The hops of one request. ``requests`` would send custom token headers along to foreign origins.

    With ``leave_bare`` a GET or HEAD may leave the allowed origins, as downloads from an object store do, without
    any of the session's headers, cookies and credentials; these stay off even if a later hop comes back.
    """

    def __init__(
        self,
        session: requests.Session,
        origins: AllowedOrigins,
        credentials: Credentials,
        *,
        leave_bare: bool = False,
    ) -> None:
        self._session = session
        self._origins = origins
        self._credentials = credentials
        self._leave_bare = leave_bare
        self._bare = False
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
        if len(self.history) > self._session.max_redirects:
            raise endless(first)
        target = _absolute(response.url, self._session.get_redirect_target(response) or "")
        if self._leaves(target, response.request.method):
            return _bare_request(response.request.method, for_strangers(self._credentials, target))
        request = response.request.copy()
        request.url = self._origins.accept(target, secrets=secrets_of(response.request))
        self._session.rebuild_method(request, response)
        if request.method != response.request.method:
            self._drop_body(request)
        elif not rewind(request):
            raise body_is_spent(first)
        self._put_cookies(request, response)
        self._credentials.apply(request)
        return request

    def _leaves(self, target: str, method: str | None) -> bool:
        """Whether this hop and all after it go without credentials."""
        if not self._bare and self._leave_bare and method in {"GET", "HEAD"}:
            try:
                self._origins.accept(target)
            except ForeignOriginRefused:
                self._bare = is_unambiguous(target)
        return self._bare

    def _put_cookies(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """Those of the session and, as ``requests`` does, of this one call; the request alone keeps the latter."""
        own = request._cookies or RequestsCookieJar()  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
        extract_cookies_to_jar(own, response.request, response.raw)  # type: ignore[no-untyped-call]  # that of requests
        request.headers.pop("Cookie", None)
        request.prepare_cookies(merge_cookies(own, self._session.cookies))  # type: ignore[no-untyped-call]  # as above

    @staticmethod
    def _drop_body(request: requests.PreparedRequest) -> None:
        for header in ("Content-Length", "Content-Type", "Transfer-Encoding"):
            request.headers.pop(header, None)
        request.body = None


def for_strangers(credentials: Credentials, url: str) -> str:
    """``url`` without what ``credentials`` had put into the query, should the API have copied it into a redirect."""
    return credentials.without_proof(url) if isinstance(credentials, OAuth2Auth) else url


def endless(first: requests.PreparedRequest) -> ApiRequestFailed:
    """Why hop after hop from ``first`` is not followed for ever."""
    kind = add_library_class(ApiCallFailed, requests.TooManyRedirects)
    return kind(
        "The API redirects without end", where=f"at {first.method} {redact_request_url(first)}"
    )


def body_is_spent(first: requests.PreparedRequest) -> ApiRequestFailed:
    """Why a redirect of ``first`` that keeps the body cannot be followed."""
    return ApiRequestFailed(
        "A redirect asks for the body again, which is a stream that cannot be rewound",
        where=f"at {first.method} {redact_request_url(first)}",
        hint="Pass bytes or a seekable file, or call the redirect's target directly.",
    )


def _bare_request(method: str | None, url: str) -> requests.PreparedRequest:
    headers = {"Accept": "*/*", "User-Agent": requests.utils.default_user_agent()}
    return requests.Request(method, url, headers=headers).prepare()


def _absolute(base: str, target: str) -> str:
    """The URL of ``target``; one that no parser reads stays as it is, for the guard of origins to refuse."""
    try:
        return urldefrag(urljoin(base, requests.utils.requote_uri(target))).url
    except ValueError:
        return target
