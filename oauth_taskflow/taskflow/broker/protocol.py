"""Questions of tasks to the broker, and its answers. Without Airflow and I/O.

Airflow's Execution API answers one kind of question: the connection of an id. Our questions are therefore ids. ``crm`` is
an ordinary look-up. ``crm~oauth~token`` asks for the token and accepts a failure as an answer. ``crm~oauth~<digest>`` also
names the token that the API refused; ``crm~oauth~ask.<text>`` asks about budgets or watermarks (``questions``). Airflow
accepts ``~`` in no id of a connection. Answers are connections.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec
from msgspec import Struct

from oauth_taskflow.connections.api_address import with_base_url
from oauth_taskflow.connections.brokered import spread_former_keys
from oauth_taskflow.connections.readers.api_requests import as_keys
from oauth_taskflow.connections.settings import ConnectionSettings, TokenPlace
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.taskflow.broker.questions import PREFIX
from oauth_taskflow.tokens.state.record import LastFailure

_SEPARATOR = "~oauth~"
_ANY = "token"
_FAILURE = "broker_failure"
_bypassed: ContextVar[bool] = ContextVar("oauth_taskflow_unbrokered", default=False)


class Question(Struct, frozen=True):
    """The connection whose token a task wants; ``refused`` is the digest of a token that the API refused.

    ``ours`` means that this package asks, which accepts a failure as an answer. ``about`` is the text of a question about
    something else than the token.
    """

    conn_id: str
    refused: str = ""
    ours: bool = False
    about: str = ""

    @classmethod
    def read(cls, name: str) -> Question:
        """The question behind the connection id ``name``."""
        conn_id, separator, rest = name.rpartition(_SEPARATOR)
        if not separator:
            return cls(name)
        if rest.startswith(PREFIX):
            return cls(conn_id, ours=True, about=rest)
        return cls(conn_id, "" if rest == _ANY else rest, ours=True)


def question_id(conn_id: str, refused: str | None = None) -> str:
    """The connection id that asks the broker for a token of ``conn_id``, other than ``refused`` if given."""
    return f"{conn_id}{_SEPARATOR}{hash_token(refused) if refused else _ANY}"


def address_question(conn_id: str, text: str) -> str:
    """The connection id that asks the broker the question in ``text`` (``questions``) about connection ``conn_id``."""
    return f"{conn_id}{_SEPARATOR}{text}"


def hash_token(access_token: str) -> str:
    """A hash that identifies ``access_token`` in an id, because ids are logged."""
    return hashlib.sha256(access_token.encode()).hexdigest()[:32]


def build_token_answer(settings: ConnectionSettings, token: Token, now: float) -> dict[str, Any]:
    """The fields of the connection that a task receives: the short-lived token, and how to call the API with it.

    Login, client secret, refresh token, token URL and token parameters are left out. ``now`` is the broker's clock.
    """
    extra: dict[str, Any] = {
        "auth_type": "bearer",
        **_build_token_place(getattr(settings.auth, "token_place", TokenPlace())),
        "allowed_origins": list(settings.allowed_origins),
        "api_headers": dict(settings.api_headers),
        "timeout": list(settings.timeout),
        "verify": settings.verify,
        "cert": settings.cert,
        "proxies": dict(settings.proxies),
        "leeway": getattr(settings.auth, "leeway", None),
        "rate_limit": msgspec.to_builtins(settings.budgets),
        **_build_rate_limit(settings),
        **as_keys(settings.limits),
        "brokered": _build_brokered(settings, token, now),
        **settings.http_options,
    }
    wire = spread_former_keys(_drop_empty(extra))
    host = with_base_url(settings, token).base_url
    return {"host": host, "password": token.access_token, "extra": json.dumps(wire)}


def _build_token_place(place: TokenPlace) -> dict[str, str]:
    if place.param:
        return {"token_in": "query", "token_param": place.param}
    scheme = f"{place.scheme} " if place.scheme else ""
    return {"token_header": f"{place.name}: {scheme}{{token}}"}


def _build_brokered(settings: ConnectionSettings, token: Token, now: float) -> dict[str, Any]:
    absent = settings.absent_records
    return _drop_empty(
        {
            "obtained_at": token.obtained_at,
            "expires_at": token.expires_at,
            "answered_at": now,
            "request_proof": _build_proof(settings, token),
            "api_responses": msgspec.to_builtins(settings.api_responses),
            "absent_records": None if absent == "fail" else absent,
        }
    )


def _drop_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, [], {}, ())}


def _build_proof(settings: ConnectionSettings, token: Token) -> dict[str, str]:
    """The proof of the token and its location. The broker computes it, because the client's secret does not leave it."""
    location = getattr(settings.auth, "request_proof", None)
    if location is None or not token.proof:
        return {}
    return {**msgspec.to_builtins(location), "proof": token.proof}


def _build_rate_limit(settings: ConnectionSettings) -> dict[str, str]:
    limit = settings.rate_limit
    if limit is None:
        return {}
    return {"rate_limit_header": limit.reset_header, "rate_limit_reset": limit.reset}


def build_failure_answer(error: OAuthTaskflowError) -> dict[str, Any]:
    """The fields of a connection that reports ``error`` to a task. Errors never hold a secret."""
    failure = LastFailure.from_error(error, "", None, 1)
    facts = {"kind": failure.kind, "facts": failure.facts, "retry_after": error.retry_after}
    return {"conn_type": "oauth2", "extra": json.dumps({_FAILURE: facts})}


def read_failure(extra: str | None) -> OAuthTaskflowError | None:
    """The error that the broker reports in ``extra``, as it was raised there; None when it reports none."""
    if not extra or f'"{_FAILURE}"' not in extra:
        return None
    fields: Mapping[str, Any] = json.loads(extra)[_FAILURE]
    return LastFailure(fields["kind"], fields["facts"], "", fields["retry_after"]).to_error(0.0)


@contextmanager
def bypass_broker() -> Iterator[None]:
    """Makes look-ups of this thread return the stored connection; for machines that may read the secrets anyway."""
    before = _bypassed.set(True)
    try:
        yield
    finally:
        _bypassed.reset(before)


def is_broker_bypassed() -> bool:
    """Whether the current look-up asks for the connection as it is stored."""
    return _bypassed.get()
