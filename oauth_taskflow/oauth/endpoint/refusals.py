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
from oauth_taskflow.oauth.endpoint.messages import Answer, Question
from oauth_taskflow.oauth.endpoint.response_body import ErrorBody
from oauth_taskflow.oauth.extension_grants import JWT_BEARER, SAML2_BEARER, TOKEN_EXCHANGE
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
    "Check subject, audience and key of the connection, and that the server knows them; this machine's clock was "
    "checked against the server's."
)
_NOT_THERE = "Check token_url: no token endpoint answers there."
_PROOF_HINT = (
    "This machine's clock was checked against the server's: see whether the server takes the algorithm in dpop, and "
    "whether it is reached under the address in token_url."
)
_UNDATED_PROOF_HINT = (
    "The server does not show its clock: check this machine's, as a DPoP proof with a wrong time is refused. Then see "
    "whether the server takes the algorithm in dpop, and whether it is reached under the address in token_url."
)
_REFUSED_CREDENTIAL = {
    JWT_BEARER: _ASSERTION_HINT,
    SAML2_BEARER: "Check the assertion of the connection: its lifetime, audience and subject.",
    TOKEN_EXCHANGE: "Check subject_token and actor_token of the connection: they are expired, or not accepted here.",
    "password": "Check username and user_password of the connection.",
    "client_credentials": "Check what the server knows of this client.",
}
_DEAD_GRANT = {
    "refresh_token": (
        "A person must authorize it again: airflow oauth login {}. The old refresh token cannot come back."
    ),
    "authorization_code": "The code was used or has run out. Start again: airflow oauth login {}",
}
# Of a person who refuses there is nothing to ask here (Auth0: the API was never opened to this client).
_CLIENT_DENIED = ("access_denied", "client_credentials")
_UNEXPLAINED = (
    "The server does not say why. Either the refresh token is spent, expired or revoked; then authorize the connection "
    "again: airflow oauth login {conn_id}. Or the client is refused; then correct client id (login), client secret "
    "(password) or client_auth. If its documentation says what the status means, put it into token_errors."
)


def refusal_error(problem: ErrorBody, answer: Answer, question: Question) -> TokenRequestRejected:
    """The error that ``problem`` in ``answer`` means for ``question``."""
    code = "invalid_client" if problem.code == "http_401" else problem.code
    # Without a consent behind the grant, nobody is to be sent to consent again.
    own = code == "invalid_grant" or (code, question.grant_type) == _CLIENT_DENIED
    hint = _REFUSED_CREDENTIAL.get(question.grant_type, "") if own else ""
    kind = TokenRequestRejected if hint else ERRORS.get(code, TokenRequestRejected)
    shown = question.clean(problem.code, 64)
    error = kind(
        error=problem.code if is_known(problem.code) else shown,
        status=answer.status,
        where=question.where,
        description=question.clean(problem.description),
        grant=question.grant_type,
        hint=hint or _hint(code, answer, question),
        shown=shown,
    )
    if error.is_unexplained:
        error.hint = _UNEXPLAINED.format(conn_id=question.conn_id)
    return error


def _hint(code: str, answer: Answer, question: Question) -> str:
    """What to look at; empty where the error's own hint says all. Values may be secret, names are not."""
    if code == "invalid_request" and answer.parameters:
        names = ", ".join(answer.parameters)
        return f"Sent were {names}: compare them with what the server's documentation asks for."
    if code == "invalid_scope" and question.scope:
        return f"Asked for was {question.scope!r}: take out of scope what this client may not have."
    if code == "invalid_target" and question.targets:
        names = ", ".join(map(redact_url, question.targets))
        return f"Asked for was {names}: correct audience or resource of the connection."
    if code == "invalid_grant" and question.grant_type in _DEAD_GRANT:
        return _DEAD_GRANT[question.grant_type].format(question.conn_id)
    if ERRORS.get(code) is ConsentRequired and question.grant_type == "refresh_token":
        return f"A person must agree again: airflow oauth login {question.conn_id}"
    absent = _NOT_THERE if question.grant_type else ""
    proof = _PROOF_HINT if "date" in answer.headers else _UNDATED_PROOF_HINT
    return {PROOF_REFUSED: proof, "http_404": absent, "http_405": absent}.get(code, "")
