"""The answer of a session: a ``requests.Response`` whose errors are ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests

from oauth_taskflow.api.failures import Verdict, not_json, status_error
from oauth_taskflow.api.network_errors import is_transient, network_error, shown_cause
from oauth_taskflow.api.secrecy import to_pickle, url_to_pickle
from oauth_taskflow.errors import ApiRequestFailed


class ApiResponse(requests.Response):
    """A ``requests.Response`` whose errors hide secrets and say whether a retry may help."""

    verdict = Verdict()

    def __getstate__(self) -> dict[str, Any]:
        """As ``requests`` pickles it, but the request, which carries the token, is method and URL alone."""
        state: Any = super().__getstate__()
        sent: requests.PreparedRequest | None = self.request  # none after a trigger's call
        if sent is not None:
            state.update(url=url_to_pickle(sent, self.url), request=to_pickle(sent))
        return dict(state)

    def raise_for_status(self) -> None:
        """Nothing below status 400.

        Raises:
            ApiStatusError: the status says error; a ``requests.HTTPError`` as well.
        """
        if self.status_code >= 400:
            raise status_error(self)

    def json(self, **kwargs: Any) -> Any:
        """The body read as JSON; ``kwargs`` are those of ``json.loads``.

        Raises:
            ApiNotJson: it is something else, often a login or maintenance page.
        """
        try:
            return super().json(**kwargs)
        except requests.JSONDecodeError as error:
            raise not_json(self) from error

    def iter_content(
        self,
        chunk_size: int | None = 1,
        decode_unicode: bool = False,  # noqa: FBT001, FBT002 - the signature of requests
    ) -> Iterator[Any]:
        """The body in pieces, as they come where the answer is streamed.

        Raises:
            ApiUnreachable: the connection broke in the middle.
            ApiTimeout: nothing came for as long as the time-out.
            ApiCallFailed: the body is not in its ``Content-Encoding``.
        """
        pieces = super().iter_content(chunk_size, decode_unicode)
        return self._typed(pieces)

    def _typed(self, pieces: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from pieces
        except ApiRequestFailed:
            raise
        except requests.RequestException as error:
            failure = network_error(error, self.request, retryable=is_transient(error))
            raise failure from shown_cause(error)
