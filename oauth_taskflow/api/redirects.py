"""Redirects of an API call: followed within the allowed origins, with method and body as RFC 9110 §15.4 defines."""

from __future__ import annotations

from urllib.parse import urldefrag, urljoin

import requests
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar, merge_cookies

from oauth_taskflow.api.auth import Credentials, NoAuth, rewind
from oauth_taskflow.api.errors import ApiCallFailed, add_library_class
from oauth_taskflow.api.origins import AllowedOrigins, is_unambiguous
from oauth_taskflow.api.request_secrets import redact_request_url, secrets_of
from oauth_taskflow.errors import ApiRequestFailed, ForeignOriginRefused


class OriginExit:
    """Whether the hops of one request have left the allowed origins, as downloads from an object store do.

    Only a GET or HEAD may leave, and only where ``permitted``. Leaving is final: headers, cookies and credentials of
    the session stay off even if a later hop comes back.
    """

    def __init__(
        self, origins: AllowedOrigins, credentials: Credentials, *, permitted: bool
    ) -> None:
        self._origins = origins
        self._credentials = credentials
        self._permitted = permitted
        self.is_bare = False

    @property
    def credentials(self) -> Credentials:
        """Those of the last hop that was asked for; once hops have left, they put nothing on a request."""
        return NoAuth() if self.is_bare else self._credentials

    def leaves(self, target: str, method: str | None) -> bool:
        """Whether the hop to ``target`` and all later hops are sent without credentials."""
        if not self.is_bare and self._permitted and method in {"GET", "HEAD"}:
            try:
                self._origins.accept(target)
            except ForeignOriginRefused:
                self.is_bare = is_unambiguous(target)
        return self.is_bare


class Redirects(OriginExit):
    """The hops of one request. ``requests`` itself would send custom token headers to foreign origins.

    With ``leave_bare`` a GET or HEAD may leave the allowed origins.
    """

    def __init__(
        self,
        session: requests.Session,
        origins: AllowedOrigins,
        credentials: Credentials,
        *,
        leave_bare: bool = False,
    ) -> None:
        super().__init__(origins, credentials, permitted=leave_bare)
        self._session = session
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
            raise endless_redirect_error(first)
        target = _absolute(response.url, self._session.get_redirect_target(response) or "")
        method = response.request.method
        if self.leaves(target, method):
            return _bare_request(method, strip_query(self._credentials, target))
        request = response.request.copy()
        request.url = self._origins.accept(target, secrets=secrets_of(response.request))
        self._session.rebuild_method(request, response)
        if request.method != method:
            self._drop_body(request)
        elif not rewind(request):
            raise body_replay_error(first)
        self._put_cookies(request, response)
        self._credentials.apply(request)
        return request

    def _put_cookies(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """Put the session's cookies and, as ``requests`` does, those of this call; only the request keeps the latter."""
        own = request._cookies or RequestsCookieJar()  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
        extract_cookies_to_jar(own, response.request, response.raw)  # type: ignore[no-untyped-call]  # that of requests
        request.headers.pop("Cookie", None)
        request.prepare_cookies(merge_cookies(own, self._session.cookies))  # type: ignore[no-untyped-call]  # as above

    @staticmethod
    def _drop_body(request: requests.PreparedRequest) -> None:
        for header in ("Content-Length", "Content-Type", "Transfer-Encoding"):
            request.headers.pop(header, None)
        request.body = None


def strip_query(credentials: Credentials, url: str) -> str:
    """``url`` without what ``credentials`` puts into queries, which the API may have copied into a redirect."""
    remove = getattr(credentials, "remove_from", None)
    return url if remove is None else str(remove(url))


def endless_redirect_error(first: requests.PreparedRequest) -> ApiRequestFailed:
    """The error of a request that is redirected too often; ``first`` started it."""
    kind = add_library_class(ApiCallFailed, requests.TooManyRedirects)
    return kind(
        "The API redirects without end", where=f"at {first.method} {redact_request_url(first)}"
    )


def body_replay_error(first: requests.PreparedRequest) -> ApiRequestFailed:
    """The error of a redirect that keeps the body of ``first``, which cannot be sent again."""
    return ApiRequestFailed(
        "A redirect asks for the body again, which is a stream that cannot be rewound",
        where=f"at {first.method} {redact_request_url(first)}",
        hint="Pass bytes or a seekable file, or call the redirect's target directly.",
    )


def _bare_request(method: str | None, url: str) -> requests.PreparedRequest:
    headers = {"Accept": "*/*", "User-Agent": requests.utils.default_user_agent()}
    return requests.Request(method, url, headers=headers).prepare()


def _absolute(base: str, target: str) -> str:
    """The absolute URL of ``target``. One that no parser reads stays unchanged, so that the origin check refuses it."""
    try:
        return urldefrag(urljoin(base, requests.utils.requote_uri(target))).url
    except ValueError:
        return target
