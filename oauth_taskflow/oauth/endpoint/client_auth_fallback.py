"""A server that documents two client authentication methods: the other one is tried when the first is refused."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from oauth_taskflow.errors import InvalidClient
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome, Rejected
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import Grant

_log = logging.getLogger(__name__)
_LEAST_TIME_TO_SEND = 1.0


class FallbackClientAuth(TokenEndpoint, frozen=True):
    """A token endpoint that asks once more, by ``other_auth``, when its client was refused.

    A server refuses the client before it looks at the grant (RFC 6749 §3.2.1), so that a refresh token is not spent by
    the first request.
    """

    other_auth: str = ""

    def exchange(self, grant: Grant, *, budget: float | None = None) -> Outcome:
        """Trade ``grant`` for a token within ``budget`` seconds; see ``TokenEndpoint.exchange``.

        The refusal of the first method is what is returned when the second one is refused too.
        """
        limit = self.transport.timeouts.total if budget is None else budget
        end = self.clock.monotonic() + limit
        one = TokenEndpoint.from_endpoint(self.with_dpop_key())
        first = one.exchange(grant, budget=limit)
        left = end - self.clock.monotonic()
        if not _is_refused(first) or left < _LEAST_TIME_TO_SEND:
            return first
        outcome = replace(one, client_auth=self.other_auth).exchange(grant, budget=left)
        if isinstance(outcome, Granted):
            _log.warning(
                "connection %s: %s was refused and %s accepted; set client_auth to it, which saves a request",
                self.conn_id,
                self.client_auth,
                self.other_auth,
            )
        return first if _is_refused(outcome) else outcome


def _is_refused(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and isinstance(outcome.error, InvalidClient)
