"""DPoP (RFC 9449) in front of the token endpoint and the API, checked with joserfc; off until ``required`` is set.

A proof must be signed with the key in its header, match method, URL, time and token, and carry a new ``jti``. Access
tokens and refresh tokens are bound to the key of their request, for every kind of client. Codes are bound to the key
that the login named, by ``dpop_jkt`` or by the proof of its pushed request.

``nonces`` is the number of latest nonces that are accepted. With 0 a proof needs no nonce; with 1 every response makes
the previous nonce invalid. Authorization server and API have separate nonces. ``/echo``, ``/redirect``, ``/flaky``,
``/with`` and ``/device`` need no proof.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError

from oauth_taskflow.clock import Clock
from oauth_taskflow.testing.messages import Request, Response, json_response, pairs

Role = Literal["authorization", "resource"]
_ALGORITHMS = ["ES256", "ES384", "ES512", "PS256", "RS256"]
_OPEN = frozenset({"echo", "redirect", "flaky", "with", "auth", "device", ".well-known"})
_TOLERANCE = 60.0
_LONGEST_HEADER = 2048  # bytes; an RSA key needs more than joserfc's 512


class ProofRefused(Exception):
    """A proof is not acceptable; ``code`` is the error code of the response."""

    def __init__(self, why: str, code: str = "invalid_dpop_proof") -> None:
        super().__init__(why)
        self.code = code


@dataclass
class DpopGate:
    """Checks proofs before the server sees a request; attributes may be changed at any time."""

    clock: Clock
    token_path: str
    scheme: str = "http"
    required: bool = False
    nonces: int = 0
    _seen: set[str] = field(default_factory=set, repr=False)
    _given: dict[Role, list[str]] = field(
        default_factory=lambda: {"authorization": [], "resource": []}, repr=False
    )
    _bound: dict[str, str] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def answer(self, request: Request, inner: Callable[[Request], Response]) -> Response:
        """The response of ``inner`` if the proof is valid, else a refusal."""
        first = request.path.strip("/").partition("/")[0]
        if not self.required or first in _OPEN:
            return inner(request)
        if request.path == self.token_path:
            return self._with_nonce("authorization", self._token(request, inner))
        if first == "oauth":
            return self._login(request, inner)
        return self._with_nonce("resource", self._resource(request, inner))

    def check(self, request: Request, role: Role, access_token: str = "") -> str:
        """The thumbprint of the key that proves ``request``.

        Raises:
            ProofRefused: with the reason.
        """
        header, claims, thumbprint = _verify(request.headers.get("Dpop", ""))
        expected = f"{self.scheme}://{request.headers.get('Host', '')}{request.path}"
        ath = _hash(access_token) if access_token else None
        problems = {
            "typ": header.get("typ") != "dpop+jwt",
            "private key": "d" in header["jwk"],
            "htm": claims.get("htm") != request.method,
            "htu": claims.get("htu") != expected,
            "iat": not _close(claims.get("iat"), self.clock.now()),
            "ath": claims.get("ath") != ath,
            "jti": not isinstance(claims.get("jti"), str),
        }
        wrong = [name for name, is_wrong in problems.items() if is_wrong]
        if wrong:
            raise ProofRefused(f"wrong: {', '.join(wrong)}")
        with self._lock:
            if self.nonces and claims.get("nonce") not in self._given[role]:
                raise ProofRefused("a nonce is needed", "use_dpop_nonce")
            if claims["jti"] in self._seen:
                raise ProofRefused("replayed")
            self._seen.add(claims["jti"])
        return thumbprint

    def forget_nonces(self) -> None:
        """Reject all nonces given so far."""
        with self._lock:
            for given in self._given.values():
                given.clear()

    def _token(self, request: Request, inner: Callable[[Request], Response]) -> Response:
        fields = dict(pairs(request.body.decode("utf-8", "replace")))
        sent = fields.get("refresh_token") or fields.get("code") or ""
        try:
            thumbprint = self.check(request, "authorization")
        except ProofRefused as refused:
            return _reject(refused.code, str(refused))
        if self._bound.get(sent, thumbprint) != thumbprint:
            return _reject("invalid_grant", "the refresh token or code belongs to another key")
        response = inner(request)
        if response.status != 200:
            return response
        granted: dict[str, Any] = msgspec.json.decode(response.body)
        for name in ("access_token", "refresh_token"):
            if name in granted:
                self._bound[granted[name]] = thumbprint
        granted["token_type"] = "DPoP"
        return replace(response, body=msgspec.json.encode(granted))

    def _login(self, request: Request, inner: Callable[[Request], Response]) -> Response:
        """Binds pushed requests and codes to the key of the login (RFC 9449 §10)."""
        fields = {**request.params, **dict(pairs(request.body.decode("utf-8", "replace")))}
        named = fields.get("dpop_jkt") or self._bound.get(fields.get("request_uri", ""), "")
        if "Dpop" in request.headers:
            try:
                proved = self.check(request, "authorization")
            except ProofRefused as refused:
                return self._with_nonce("authorization", _reject(refused.code, str(refused)))
            if named not in {"", proved}:
                return _reject("invalid_dpop_proof", "dpop_jkt names another key")
            named = proved
        response = inner(request)
        for issued in _codes_in(response) if named else ():
            self._bound[issued] = named
        return response

    def _resource(self, request: Request, inner: Callable[[Request], Response]) -> Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "DPoP":
            return _challenge("invalid_token", "the token must come with the scheme DPoP")
        try:
            if self._bound.get(token) != self.check(request, "resource", token):
                return _challenge("invalid_token", "the token belongs to another key")
        except ProofRefused as refused:
            return _challenge(refused.code, str(refused))
        return inner(replace(request, headers=_as_bearer(request.headers, token)))

    def _with_nonce(self, role: Role, response: Response) -> Response:
        if not self.nonces:
            return response
        nonce = secrets.token_urlsafe(12)
        with self._lock:
            self._given[role] = [*self._given[role], nonce][-self.nonces :]
        return replace(response, headers=(*response.headers, ("DPoP-Nonce", nonce)))


def _verify(proof: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and key thumbprint of ``proof`` after a check of its signature."""
    registry = jws.JWSRegistry(algorithms=_ALGORITHMS)
    registry.max_header_length = _LONGEST_HEADER
    try:
        header = jws.extract_compact(proof.encode(), registry=registry).headers()
        key = jwk.import_key(header["jwk"])
        claims = jwt.decode(proof, key, registry=registry).claims
    except (JoseError, ValueError, KeyError, TypeError) as wrong:
        raise ProofRefused(f"unreadable ({type(wrong).__name__})") from None
    return header, claims, key.thumbprint()


def _codes_in(response: Response) -> tuple[str, ...]:
    """The reference of a pushed request or the code of a redirect in ``response``."""
    if response.status == 201:
        return (str(msgspec.json.decode(response.body)["request_uri"]),)
    query = pairs(dict(response.headers).get("Location", "").partition("?")[2])
    return tuple(value for name, value in query if name == "code")


def _close(issued_at: object, now: float) -> bool:
    return isinstance(issued_at, int) and abs(issued_at - now) <= _TOLERANCE


def _as_bearer(headers: Mapping[str, str], token: str) -> Mapping[str, str]:
    return {**headers, "Authorization": f"Bearer {token}"}


def _reject(code: str, why: str) -> Response:
    return json_response({"error": code, "error_description": why}, 400)


def _challenge(code: str, why: str) -> Response:
    challenge = f'DPoP error="{code}", error_description="{why}", algs="ES256"'
    return json_response({"error": why}, 401, www_authenticate=challenge)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
