"""One exchange with a token endpoint: the form of a grant is posted, and posted again only where it was refused unread."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import jmespath  # noqa: F401 - finds the tokens in the answer: nothing may be left to load once a single-use grant is sent
import requests

from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidTokenResponse,
    TokenEndpointUnavailable,
)
from oauth_taskflow.http_headers import server_skew
from oauth_taskflow.oauth.client import Client, TokenForm
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.dpop import (
    HEADER,
    NONCE_HEADER,
    NONCE_WANTED,
    PROOF_REFUSED,
    prover,
)
from oauth_taskflow.oauth.endpoint.clock_correction import correct_clock
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.outcomes import (
    Failure,
    NotProcessed,
    OutcomeUnknown,
    Rejected,
)
from oauth_taskflow.oauth.endpoint.partial_response import CutOff, brings_refresh_token, read_body
from oauth_taskflow.oauth.endpoint.request_encoding import Encoded, encode
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.endpoint.transport import Deadline, Wire, always, new_session
from oauth_taskflow.oauth.grants import Grant
from oauth_taskflow.redaction import redact_address

if TYPE_CHECKING:
    from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint

_LARGEST_ANSWER = 1 << 20
_LEAST_TIME_TO_SEND = 1.0


class Exchange:
    """The exchanges of ``endpoint``; :meth:`TokenEndpoint.ask` describes one."""

    def __init__(self, endpoint: TokenEndpoint) -> None:
        self._endpoint = endpoint

    def run(self, grant: Grant, total: float) -> TokenHttpResponse | Failure:
        """The answer to ``grant`` as it came within ``total`` seconds, or the failure."""
        endpoint = self._endpoint
        end = endpoint.clock.monotonic() + total
        answer = self._send_proved(endpoint.client, grant, total)
        again = self._sign_again(answer, grant)
        left = end - endpoint.clock.monotonic()
        if again is None or left < _LEAST_TIME_TO_SEND:
            return answer
        return self._send_proved(*again, left)

    def _sign_again(
        self, answer: TokenHttpResponse | Failure, grant: Grant
    ) -> tuple[Client, Grant] | None:
        if not isinstance(answer, TokenHttpResponse):
            return None
        skew = server_skew(answer.headers, answer.received_at)
        if not skew:
            return None
        endpoint = self._endpoint
        outcome = interpret(answer, endpoint.describe_request(grant))
        return correct_clock(endpoint.client, endpoint.client_auth, grant, outcome, skew)

    def _send_proved(
        self, client: Client, grant: Grant, total: float
    ) -> TokenHttpResponse | Failure:
        clock = self._endpoint.clock
        end = clock.monotonic() + total
        answer = self._send(client, grant, total)
        remedies = {NONCE_WANTED: self._has_nonce, PROOF_REFUSED: self._shows_other_clock}
        while (
            isinstance(answer, TokenHttpResponse)
            and (left := end - clock.monotonic()) >= _LEAST_TIME_TO_SEND
        ):
            helps = remedies.pop(self._proof_error(answer), None)
            if helps is None or not helps(answer, grant):
                break
            answer = self._send(client, grant, left)
        return answer

    def _proof_error(self, answer: TokenHttpResponse) -> str:
        """The error code of a refusal, when a proof was sent."""
        if not self._endpoint.dpop_key or answer.status not in {400, 401}:
            return ""
        return str((answer.read().fields or {}).get("error"))

    def _has_nonce(self, answer: TokenHttpResponse, _grant: Grant) -> bool:
        return NONCE_HEADER.lower() in answer.headers

    def _shows_other_clock(self, answer: TokenHttpResponse, grant: Grant) -> bool:
        endpoint = self._endpoint
        url = endpoint.dialect.request.url(endpoint.url, grant.grant_type)
        return prover(endpoint.dpop_key).set_clock(
            "authorization", url, answer.headers, clock=endpoint.clock
        )

    def _send(self, client: Client, grant: Grant, total: float) -> TokenHttpResponse | Failure:
        endpoint = self._endpoint
        info = endpoint.describe_request(grant)
        endpoint.hide(info.secrets)
        wire = Wire(total, endpoint.may_send or always)
        broke: Exception | None = None
        form = CLIENT_AUTH_METHODS[endpoint.client_auth].apply(client, grant.form())
        try:
            with Deadline(wire), new_session(wire) as session:
                answer = self._post(session, form, grant, total)
        except CutOff as cut:
            answer, broke = cut.answer, cut.cause
        except (requests.RequestException, OSError, ValueError) as failure:
            # ValueError: urllib3's LocationParseError and a header value that cannot be encoded.
            return _name_failure(failure, wire, info)
        if (
            broke is None and wire.expired
        ):  # cutting the wire looks like the regular end of an answer
            broke = TimeoutError()
        if broke is not None and not brings_refresh_token(answer, info):
            return _name_failure(broke, wire, info)
        if not answer.is_success:
            return answer
        if len(answer.body) > _LARGEST_ANSWER:
            return OutcomeUnknown(_too_long(info), again=0)
        endpoint.keep(answer)
        return answer

    def _post(
        self, session: requests.Session, form: TokenForm, grant: Grant, total: float
    ) -> TokenHttpResponse:
        endpoint = self._endpoint
        rules = endpoint.dialect.request
        renamed = rules.rename_params(form)
        request = encode(
            renamed,
            method=rules.method,
            url=rules.url(endpoint.url, grant.grant_type),
            body=grant.options.body,
        )
        sent_at = endpoint.clock.now()
        with session.request(
            request.method,
            request.url,
            data=request.body,
            headers={**request.headers, **self._proof(request)},
            **endpoint.transport.request_options(total),
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            content, ended = read_body(response, _LARGEST_ANSWER)
        if endpoint.dpop_key:
            prover(endpoint.dpop_key).remember_nonce("authorization", request.url, headers)
        names = tuple(dict.fromkeys(name for name, _ in renamed.params))
        times = (sent_at, endpoint.clock.now())
        answer = TokenHttpResponse(response.status_code, headers, content, *times, names)
        if ended is not None:
            raise CutOff(answer, ended)
        return answer

    def _proof(self, request: Encoded) -> dict[str, str]:
        endpoint = self._endpoint
        if not endpoint.dpop_key:
            return {}
        # The URL as the server sees it: requests rewrites the path and international names.
        url = requests.Request(request.method, request.url).prepare().url or request.url
        own = prover(endpoint.dpop_key)
        return {HEADER: own.proof("authorization", request.method, url, clock=endpoint.clock)}


def _too_long(info: TokenRequestInfo) -> InvalidTokenResponse:
    return InvalidTokenResponse(
        "The answer is longer than 1 MiB and was not read",
        where=info.where,
        hint="Check that token_url is the token endpoint and not a login page.",
    )


def _name_failure(failure: Exception, wire: Wire, info: TokenRequestInfo) -> Failure:
    certificate = _cause(failure, ssl.SSLCertVerificationError)
    if certificate is not None and not wire.sent:
        return Rejected(_bad_certificate(certificate, info))
    if not wire.sent and not isinstance(failure, requests.ConnectionError | requests.Timeout):
        return Rejected(_unusable(failure, info))
    reason = "deadline passed" if wire.expired else type(_root(failure)).__name__
    when = "after the request was sent" if wire.sent else "before anything was sent"
    # Not chained: requests' exceptions carry the request, and with it the secrets.
    error = TokenEndpointUnavailable(
        f"Token endpoint not reachable ({reason}, {when})",
        where=info.where,
        hint=f"Check token_url, DNS, proxy and firewall. {info.repeated}.",
    )
    return OutcomeUnknown(error) if wire.sent else NotProcessed(error)


def _bad_certificate(failure: BaseException, info: TokenRequestInfo) -> ConnectionConfigError:
    reason = info.clean(str(getattr(failure, "verify_message", "")) or "not trusted", 120)
    return ConnectionConfigError(
        f"The certificate of {redact_address(info.url)} was refused ({reason})",
        conn_id=info.conn_id,
        field="verify",
        hint="Set verify to the file of the CA that signed it; checks are never switched off here.",
    )


def _unusable(failure: Exception, info: TokenRequestInfo) -> ConnectionConfigError:
    # For a header that HTTP refuses, the text is the value, which may be a key.
    quotes = isinstance(failure, requests.exceptions.InvalidHeader)
    text = "" if quotes else f": {info.clean(str(failure), 120)}"
    return ConnectionConfigError(
        f"No request to {redact_address(info.url)} can be made ({type(failure).__name__}{text})",
        conn_id=info.conn_id,
        hint="Check token_url, verify, cert, proxies and token_headers of the connection.",
    )


def _root(failure: BaseException) -> BaseException:
    """The innermost reason: requests wraps urllib3, which wraps the socket's error."""
    for inner in (getattr(failure, "reason", None), *failure.args, failure.__cause__):
        if isinstance(inner, BaseException) and inner is not failure:
            return _root(inner)
    return failure


def _cause(failure: BaseException, kind: type[BaseException]) -> BaseException | None:
    found = _root(failure)
    return found if isinstance(found, kind) else None
