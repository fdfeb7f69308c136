"""What to do about a consent whose answer held no refresh token, in one text for all places. No I/O."""

from __future__ import annotations

from oauth_taskflow.errors import ConnectionConfigError

NO_REFRESH_TOKEN = (
    "The server gave no refresh token: many servers want the scope offline_access, or authorize_params such as "
    "access_type=offline"
)


def no_refresh_token_error(conn_id: str) -> ConnectionConfigError:
    """The error where a token is needed that follows one without a refresh token; a mere second login would not help."""
    return ConnectionConfigError(
        NO_REFRESH_TOKEN,
        conn_id=conn_id,
        field="scope",
        hint=f"Set one, then authorize the connection again: airflow oauth login {conn_id}",
    )
