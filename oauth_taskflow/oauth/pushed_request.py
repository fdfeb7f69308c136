"""Pushed authorization requests (RFC 9126): the request goes by POST, the browser carries a reference only."""

from __future__ import annotations

from oauth_taskflow.oauth.authorization_code import Authorization
from oauth_taskflow.oauth.direct_request import DirectRequest
from oauth_taskflow.oauth.token_endpoint import TokenEndpoint


def push(endpoint: TokenEndpoint, url: str, authorization: Authorization) -> str:
    """Push the request of ``authorization`` to ``url``; returns the URL for the browser.

    The reference works once and for a short time (RFC 9126 §2.2): a new attempt pushes anew.

    Raises:
        OAuthTaskflowError: the server refused or was not reached.
    """
    hidden = (authorization.state, authorization.verifier.challenge)
    request = DirectRequest.of(authorization.parameters, authorization.options, hidden)
    _, fields = request.send(endpoint, url)
    reference = fields.get("request_uri")
    if not isinstance(reference, str) or not reference:
        raise authorization.failed("The pushed request was accepted without a request_uri")
    return authorization.pushed_url(reference)
