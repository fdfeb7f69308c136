"""A refusal of the token endpoint as a typed error: which class, and what a person can do about it. No I/O.

Classes and hints are chosen by the code as the server sent it. Secrets are taken out of what is shown, last.
"""

from __future__ import annotations

from oauth_taskflow.errors import (
    ConsentRequired,
    InvalidClient,
    InvalidGrant,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.dpop import PROOF_REFUSED
from oauth_taskflow.oauth.endpoint.error_codes import is_known
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.response_body import ErrorBody
from oauth_taskflow.redaction import redact_url

ERRORS: dict[str, type[TokenRequestRejected]] = {
    "invalid_client": InvalidClient,
    "invalid_grant": InvalidGrant,
    "access_denied": ConsentRequired,
    "consent_required": ConsentRequired,
    "interaction_required": ConsentRequired,
    "login_required": ConsentRequired,
}
_ASSERTION_HINT = (
    "The client's signed assertion was refused. Check client id (login), private_key or client_assertion_file, key_id and "
    "assertion_audience, and that the server knows the key"
)
_CLOCK_CHECKED = "this machine's clock was checked against the server's."
_CLOCK_UNKNOWN = "check this machine's clock too, because the server does not show its own, and an assertion with a wrong time is refused."
_NOT_THERE = "Check token_url: no token endpoint answers there."
_PROOF_HINT = (
    "This machine's clock was checked against the server's: see whether the server takes the algorithm in dpop, and "
    "whether it is reached under the address in token_url."
)
_UNDATED_PROOF_HINT = (
    "The server does not show its clock: check this machine's, as a DPoP proof with a wrong time is refused. Then see "
    "whether the server takes the algorithm in dpop, and whether it is reached under the address in token_url."
)
# No person refused here: the API was never opened to this client (Auth0).
_CLIENT_DENIED = ("access_denied", "client_credentials")
_UNCLEAR = (
    "The request may be wrong: sent were {names}; compare them with what the server's documentation asks for. But some "
    "servers answer so when the refresh token is spent, expired or revoked: then authorize the connection again: airflow "
    'oauth login {conn_id}, and set token_errors to {{"invalid_request": "invalid_grant"}}.'
)
# Servers that read id and secret in the body alone miss a parameter then (RFC 6749 §2.3.1, §5.2).
_IN_HEADER = (
    "Client id and secret went in the Authorization header ({method}). If the server wants them in the body, set "
    "client_auth: client_secret_post."
)
_UNCLEAR_CLIENT = (
    "The request may be wrong: sent were {names}; compare them with what the server's documentation asks for. {in_header} "
    "But some servers answer so when the refresh token is spent, expired or revoked: then authorize the connection again: "
    "airflow oauth login {conn_id}."
)
_UNEXPLAINED = (
    "The server names no error code. Either the refresh token is spent, expired or revoked; then authorize the connection "
    "again: airflow oauth login {conn_id}. Or the client is refused; then correct client id (login), client secret "
    "(password) or client_auth. If its documentation says what the status means, put it into token_errors."
)


def refusal_error(
    problem: ErrorBody, answer: TokenHttpResponse, info: TokenRequestInfo
) -> TokenRequestRejected:
    """The error that ``problem`` in ``answer`` means for ``info``."""
    code = "invalid_client" if _is_client_refused(problem, answer) else problem.code
    # Without a consent behind the grant, the error must not ask for another one.
    own = code == "invalid_grant" or (code, info.grant_type) == _CLIENT_DENIED
    hint = info.refusal_hint.replace("{conn_id}", info.conn_id) if own else ""
    named = ERRORS.get(code, TokenRequestRejected)
    kind = TokenRequestRejected if hint and not info.by_consent else named
    shown = info.clean(problem.code, 64)
    error = kind(
        error=problem.code if is_known(problem.code) else shown,
        status=answer.status,
        where=info.where,
        description=info.clean(problem.description),
        grant=info.grant_type,
        hint=hint or _hint(code, answer, info),
        shown=shown,
    )
    if error.is_unexplained:
        in_header = _describe_header(info)
        words = _UNCLEAR if code == "invalid_request" else _UNEXPLAINED
        if words == _UNCLEAR and in_header and "refresh" not in problem.description.lower():
            words = _UNCLEAR_CLIENT
        names = ", ".join(answer.parameters)
        error.hint = words.format(conn_id=info.conn_id, names=names, in_header=in_header)
    return error


def _describe_header(info: TokenRequestInfo) -> str:
    """What to try where id and secret of the client were sent in the header of a token request; else empty."""
    basic = info.client_auth in {"client_secret_basic", "client_secret_basic_raw"}
    return _IN_HEADER.format(method=info.client_auth) if basic and info.grant_type else ""


def _is_client_refused(problem: ErrorBody, answer: TokenHttpResponse) -> bool:
    """Whether the client's authentication failed, in whatever words: 401 means that (RFC 6749 §5.2).

    Keycloak calls a wrong client secret ``unauthorized_client``, which elsewhere comes with 400 and means the grant type.
    """
    return answer.status == 401 and problem.code in {"http_401", "unauthorized_client"}


def _hint(code: str, answer: TokenHttpResponse, info: TokenRequestInfo) -> str:
    """Names what to check; empty where the error's own hint is enough. Values may be secret, names are not."""
    if code == "invalid_request" and answer.parameters:
        names = ", ".join(answer.parameters)
        hint = f"Sent were {names}: compare them with what the server's documentation asks for."
        return f"{hint} {_describe_header(info)}".rstrip()
    if code == "invalid_scope" and info.scope:
        return f"Asked for was {info.scope!r}: take out of scope what this client may not have."
    if code == "invalid_target" and info.targets:
        names = ", ".join(map(redact_url, info.targets))
        return f"Asked for was {names}: correct audience or resource of the connection."
    if ERRORS.get(code) is ConsentRequired and info.grant_type == "refresh_token":
        return f"A person must agree again: airflow oauth login {info.conn_id}"
    if code == "invalid_client" and "client_assertion" in answer.parameters:
        clock = _CLOCK_CHECKED if "date" in answer.headers else _CLOCK_UNKNOWN
        return f"{_ASSERTION_HINT}; {clock}"
    absent = _NOT_THERE if info.grant_type else ""
    proof = _PROOF_HINT if "date" in answer.headers else _UNDATED_PROOF_HINT
    return {PROOF_REFUSED: proof, "http_404": absent, "http_405": absent}.get(code, "")
