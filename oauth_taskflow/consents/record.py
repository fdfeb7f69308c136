"""A consent in flight as a value: who asked for it, for which connection, and the secrets of the attempt."""

from __future__ import annotations

import secrets
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from oauth_taskflow.schema.reading import read_as
from oauth_taskflow.secret_values import Hidden, SecretValue

_TICKET_BYTES = 32
# Seconds. A person needs minutes at the authorization server; the browser brings the answer on within a second, unless the
# person has to log in to Airflow again.
CONSENT_LIFETIME = 600.0
ANSWER_LIFETIME = 300.0
# A device code lives as long as its server says, within this limit.
LONGEST_DEVICE_LIFETIME = 1800.0


def new_ticket() -> str:
    """A random name (256 bits) for a consent, known to one browser only."""
    return secrets.token_urlsafe(_TICKET_BYTES)


class PendingConsent(SecretValue, frozen=True):
    """One consent that a person was asked for and has not given yet.

    ``user_id`` is the Airflow user who asked, ``binding`` a hash of the connection's facts at that moment. ``state`` and
    ``verifier`` are those of the authorization request, ``device_code`` that of RFC 8628; empty if unused.
    ``return_to`` is the path of the page to which the person goes back, ``revoke_url`` the place that may end the old grant.
    """

    conn_id: str
    user_id: str
    binding: str
    redirect_uri: str = ""
    return_to: str = ""
    revoke_old: bool = False
    revoke_url: str = ""
    state: Hidden[str] = ""
    verifier: Hidden[str] = ""
    dpop_key: Hidden[str] = ""
    device_code: Hidden[str] = ""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, to be encrypted."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> PendingConsent:
        """The consent that ``to_json`` wrote.

        Raises:
            msgspec.ValidationError: it was not.
        """
        return read_as(cls, content)


class TakenConsent(SecretValue, frozen=True):
    """A consent that came back: once it was taken, no other server gets it.

    ``answer`` are the parameters that the authorization server sent to the redirect URI, None when none came; ``age`` is
    the time since the consent was asked for, in seconds.
    """

    pending: PendingConsent
    answer: Hidden[tuple[tuple[str, str], ...] | None]
    age: float


class DeviceTurn(SecretValue, frozen=True):
    """The right to ask the token endpoint once for a device code; ``interval`` is in seconds, between two questions."""

    pending: PendingConsent
    interval: float


class Wait(Struct, frozen=True):
    """Not yet: another question may be asked in so many ``seconds``."""

    seconds: float
