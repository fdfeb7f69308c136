"""The deviations of a token endpoint from RFC 6749 that presets declare, as typed options. Plain data, no I/O.

The defaults are the RFC together with the deviations that ``endpoint.response`` reads by itself. Each field's ``Meta`` is its
page in the reference of the preset format.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import field

from oauth_taskflow.oauth.client import TokenForm
from oauth_taskflow.schema.types import JmesPath, Options, Seconds, doc


class RequestDialect(Options, frozen=True, kw_only=True):
    """How the token request is written."""

    method: Annotated[
        Literal["POST", "GET"], doc("HTTP method of token requests; GET needs body: query.", "GET")
    ] = "POST"
    rename: Annotated[
        dict[str, str],
        doc(
            "Parameters under another name, after everything else is put in; an empty name leaves one out.",
            {"client_id": "client_key"},
        ),
    ] = {}
    refresh_url: Annotated[
        str | None,
        doc(
            "Where refresh tokens are traded, when not at token_url.", "https://id.example/refresh"
        ),
    ] = None
    scope_in_assertion: Annotated[
        bool,
        doc(
            "Whether the scope is a claim of the JWT that is signed (for the client a list, for a jwt_bearer grant as "
            "text), and not in the form.",
            True,
        ),
    ] = False
    subject_if_named: Annotated[
        bool,
        doc(
            "Whether the JWT of a jwt_bearer grant has a sub only when the connection names a subject; by default it "
            "is the client id.",
            True,
        ),
    ] = False

    def url(self, token_url: str, grant_type: str) -> str:
        """The address for a grant of that type."""
        return (self.refresh_url if grant_type == "refresh_token" else None) or token_url

    def rename_params(self, form: TokenForm) -> TokenForm:
        """``form`` with the server's names of its parameters."""
        if not self.rename:
            return form
        named = ((self.rename.get(name, name), value) for name, value in form.params)
        return TokenForm(tuple(pair for pair in named if pair[0]), form.headers)


class Expiry(Options, frozen=True, kw_only=True):
    """Where a token's expiry comes from."""

    source: Annotated[
        Literal["auto", "expires_in", "expires_at", "jwt", "introspection", "fixed"],
        doc(
            "auto: what path names, a lifetime or an instant, then expires_in, then expires_at or expires_on, then the exp claim of a JWT. expires_in: a lifetime at "
            "path, as number or text; 0 means that the token does not expire. expires_at: an instant at path, epoch "
            "seconds, epoch milliseconds or ISO 8601. jwt: the exp claim only. introspection: as auto, and when the answer says nothing, the "
            "introspection endpoint is asked (RFC 7662). fixed: lifetime_s, whatever is said.",
            "expires_at",
        ),
    ] = "auto"
    path: Annotated[
        JmesPath | None,
        doc(
            "JMESPath of the value; by default the source's name, with auto none.",
            "data.expires_in",
        ),
    ] = None
    unit: Annotated[Literal["s", "ms"], doc("Unit of an expires_in.", "ms")] = "s"
    lifetime_s: Annotated[
        Seconds | None,
        doc("Seconds that a token lives when the answer does not say.", 3600),
    ] = None


class ResponseDialect(Options, frozen=True, kw_only=True):
    """How the answer of the token endpoint is read. Paths are JMESPath into its body."""

    access_token: Annotated[JmesPath, doc("Path of the access token.", "data.access_token")] = (
        "access_token"
    )
    refresh_token: Annotated[JmesPath, doc("Path of the refresh token.", "data.refresh_token")] = (
        "refresh_token"
    )
    code: Annotated[
        str,
        doc(
            "Name of the authorization code in the address that a login comes back to.",
            "spapi_oauth_code",
            min_length=1,
        ),
    ] = "code"
    token_types: Annotated[
        tuple[str, ...],
        doc(
            "Values of token_type that mean a bearer token, besides Bearer.", ["User Access Token"]
        ),
    ] = ()
    success: Annotated[
        JmesPath | None,
        doc(
            "Predicate that is true for a token and false for an error, whatever the status.",
            "ok == `true`",
        ),
    ] = None
    error: Annotated[JmesPath | None, doc("Path of the error code.", "code")] = None
    error_description: Annotated[JmesPath | None, doc("Path of the error's text.", "message")] = (
        None
    )
    errors: Annotated[
        dict[str, str],
        doc(
            "The server's error codes in words of RFC 6749, which decide what happens next. http_400, http_401 and http_403 "
            "are refusals with that status and no code.",
            {"40105": "invalid_grant", "http_400": "invalid_grant"},
        ),
    ] = {}
    expiry: Annotated[Expiry, doc("Where the expiry comes from.", {"source": "expires_at"})] = (
        Expiry()
    )


class RevocationDialect(Options, frozen=True, kw_only=True):
    """How a grant is ended; the defaults are RFC 7009, without an address."""

    url: Annotated[
        str | None,
        doc(
            "Where; an https URL with places as in token_url. Without one the connection names it.",
            "https://id.example/revoke",
        ),
    ] = None
    method: Annotated[Literal["POST", "GET", "DELETE"], doc("HTTP method.", "DELETE")] = "POST"
    body: Annotated[
        Literal["form", "json", "query"], doc("Where the parameters travel.", "json")
    ] = "form"
    params: Annotated[
        dict[str, str],
        doc(
            "Parameters, beside those of the client. {token} is the token, {kind} access_token or refresh_token, "
            "{client_secret} the client's secret, {proof} the token's request_proof; so in headers.",
            {"access_token": "{token}"},
        ),
    ] = field(default_factory=lambda: {"token": "{token}", "token_type_hint": "{kind}"})
    headers: Annotated[
        dict[str, str],
        doc("Headers, beside those of token requests.", {"Authorization": "Bearer {token}"}),
    ] = {}
    client_auth: Annotated[
        Literal["client_secret_basic", "client_secret_post", "none", "unauthenticated"] | None,
        doc(
            "How the client shows who it is; by default as at the token endpoint. unauthenticated: not at all.",
            "client_secret_basic",
        ),
    ] = None
    tokens: Annotated[
        Literal["both", "refresh_token", "access_token"],
        doc(
            "Which tokens it takes. access_token: a living one is fetched if need be, because it stands for the whole grant.",
            "refresh_token",
        ),
    ] = "both"
    success: Annotated[
        JmesPath | None,
        doc("Predicate on the answer that is true for success only.", "ok == `true`"),
    ] = None
    ends_consent: Annotated[
        bool,
        doc(
            "Whether every grant of this person to this client ends with it, a newer one too: login --revoke-old is "
            "refused.",
            True,
        ),
    ] = False


class Dialect(Options, frozen=True, kw_only=True):
    """How requests are written and answers are read."""

    request: RequestDialect = RequestDialect()
    response: ResponseDialect = ResponseDialect()


STANDARD = Dialect()
