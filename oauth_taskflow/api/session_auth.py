"""The credentials of a session, as ``requests`` wants them."""

from __future__ import annotations

import requests
from requests.auth import AuthBase

from oauth_taskflow.api.additions import credentials_of_caller
from oauth_taskflow.api.auth import Credentials, NoAuth, OAuth2Auth
from oauth_taskflow.oauth.token import TokenSource


def resolve_auth(auth: AuthBase | Credentials | TokenSource | None) -> AuthBase | Credentials:
    """The credentials that a session's ``auth`` argument means; a token source is wrapped in ``OAuth2Auth``."""
    if auth is None:
        return NoAuth()
    if isinstance(auth, AuthBase | Credentials):
        return auth
    return OAuth2Auth(auth)


class SessionAuth(AuthBase):
    """Marks requests that are prepared with the session's own credentials, which are put on at each attempt.

    A request prepared with other credentials (``auth=`` of one call) has no mark and keeps them.
    """

    MARK = "_oauth_taskflow_signs"

    def __init__(self, auth: AuthBase | Credentials) -> None:
        self.auth = auth
        # Checked once: asking whether an object fulfils a protocol takes microseconds.
        self._own = auth if isinstance(auth, Credentials) else None
        self._plain = None if isinstance(auth, Credentials) else auth
        self._bare = credentials_of_caller(auth)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """``r`` with the credentials of ``requests``, or marked for ours."""
        if self._plain is not None:
            signed: requests.PreparedRequest = self._plain(r)
            return signed
        setattr(r, self.MARK, True)
        return r

    def __repr__(self) -> str:
        return repr(self.auth)

    def credentials_for(self, request: requests.PreparedRequest) -> Credentials:
        """The credentials to put on ``request``: the session's own, or none."""
        marked = getattr(request, self.MARK, False)
        return self._own if marked and self._own is not None else self._bare
