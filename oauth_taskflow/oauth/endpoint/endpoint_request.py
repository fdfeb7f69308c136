"""One form posted to another endpoint than the token endpoint: PAR, device authorization, revocation."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field
from msgspec.structs import replace

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.client import Params, TokenForm
from oauth_taskflow.oauth.dialect import Dialect
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse
from oauth_taskflow.oauth.endpoint.outcomes import Granted
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.endpoint.response_body import ErrorBody, error_in
from oauth_taskflow.oauth.endpoint.response_fields import problem_in
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import BaseGrant, GrantOptions
from oauth_taskflow.secret_values import Hidden


class DirectRequest(BaseGrant, frozen=True):
    """A form for another endpoint than the token endpoint, authenticated like a token request.

    ``dialect`` is how that endpoint departs from its RFC; None: by the names of parameters only, as the token endpoint.
    """

    params: Hidden[Params]
    options: GrantOptions = field(default_factory=GrantOptions)
    hidden: Hidden[tuple[str, ...]] = ()
    dialect: Dialect | None = None
    grant_type: ClassVar[str] = ""

    @classmethod
    def from_params(
        cls, params: Params, options: GrantOptions, hidden: tuple[str, ...] = ()
    ) -> DirectRequest:
        """``params`` with the headers of ``options``; always form-encoded, whatever the token endpoint wants."""
        return cls(params, replace(options, body="form"), hidden)

    def form(self) -> TokenForm:
        """The parameters, and the connection's headers for the authorization server."""
        return TokenForm(params=self.params, headers=self.options.headers)

    def secrets(self) -> tuple[str, ...]:
        """Values that must never be shown."""
        return self.hidden

    def send(self, endpoint: TokenEndpoint, url: str) -> tuple[int, dict[str, object]]:
        """Post to ``url`` as the client of ``endpoint``: status and fields of a 2xx answer.

        Raises:
            OAuthTaskflowError: the server refused, was not reached, or redirects.
        """
        answer, body = self.answer(endpoint, url)
        return answer.status, body

    def answer(
        self, endpoint: TokenEndpoint, url: str, *, budget: float | None = None
    ) -> tuple[TokenHttpResponse, dict[str, object]]:
        """As ``send``, with the whole answer and at most ``budget`` seconds.

        Raises:
            OAuthTaskflowError: the server refused, was not reached, or redirects.
        """
        there = replace(endpoint.resolve(), url=url)
        if self.dialect is not None:
            there = replace(there, dialect=self.dialect)
        answer = there.ask(self, budget=budget)
        if not isinstance(answer, TokenHttpResponse):
            raise answer.error
        body = answer.read().fields or {}
        if answer.is_success and self._problem(body) is None:
            return answer, body
        raise _refusal(answer, there, self)

    def _problem(self, body: dict[str, object]) -> ErrorBody | None:
        """The error in a 2xx answer; a token endpoint's rule for success does not apply to other endpoints."""
        return error_in(body) if self.dialect is None else problem_in(body, self.dialect.response)


def _refusal(
    answer: TokenHttpResponse, endpoint: TokenEndpoint, request: DirectRequest
) -> OAuthTaskflowError:
    outcome = interpret(answer, endpoint.describe_request(request))
    assert not isinstance(outcome, Granted), "an answer with an error in it grants nothing"
    return outcome.error
