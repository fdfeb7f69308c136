"""The error codes that decide what happens next: a fixed vocabulary, so that a code of it is never a secret. No I/O.

A server may repeat anything in its error code, a client secret included. Code compares codes of this vocabulary only;
all other text is redacted before it is kept.
"""

from __future__ import annotations

import re

UNNAMED = "unnamed_error"
# RFC 6749 §4.1.2.1 and §5.2, RFC 6750 §3.1, RFC 7009 §2.2.1, RFC 8628 §3.5, RFC 8707 §2, RFC 9126, RFC 9449, OIDC Core §3.1.2.6.
_KNOWN = frozenset(
    {
        UNNAMED,
        "access_denied",
        "account_selection_required",
        "authorization_pending",
        "consent_required",
        "expired_token",
        "insufficient_scope",
        "insufficient_user_authentication",
        "interaction_required",
        "invalid_client",
        "invalid_dpop_proof",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "invalid_token",
        "login_required",
        "server_error",
        "slow_down",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
        "unsupported_token_type",
        "use_dpop_nonce",
    }
)
# The name of an answer without an error code; see ``response``.
_STATUS = re.compile(r"http_[1-5]\d\d")
# The codes that a connection may translate a server's own codes into.
REFUSALS = (
    "invalid_grant",
    "invalid_client",
    "invalid_scope",
    "invalid_target",
    "invalid_request",
    "unauthorized_client",
    "consent_required",
    "temporarily_unavailable",
    "server_error",
)


def is_known(code: str) -> bool:
    """Whether ``code`` is a word of the standards or a status. Such a code is kept even if it equals a client secret."""
    return code in _KNOWN or _STATUS.fullmatch(code) is not None
