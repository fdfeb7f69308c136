"""Events that a trigger sends its task: a response or a typed error, as JSON that Airflow stores in its database."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from oauth_taskflow import errors
from oauth_taskflow.api.response import ApiResponse
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.redaction import remove_secrets
from oauth_taskflow.secret_registry import list_secrets
from oauth_taskflow.taskflow.xcom_guard import reject_secrets

Event = dict[str, Any]

# Response headers that could log in again.
_LEFT_OUT = frozenset({"set-cookie", "set-cookie2"})
_SHORTEST_SECRET = 8


def success_event(response: httpx.Response) -> Event:
    """The event for ``response``, without its cookies, and without a token or API key in its URL and headers.

    APIs repeat the query of a request in ``Link`` and ``Location``. So it is with every redirect before.

    Raises:
        ResultRefused: the body holds a token or secret of the connection.
    """
    return {"status": "success", "response": _serialize_response(response)}


def _serialize_response(response: httpx.Response) -> Event:
    content = reject_secrets(response.content, f"of {response.request.method} in a trigger")
    secrets = [secret for secret in list_secrets() if len(secret) >= _SHORTEST_SECRET]
    headers = {
        name: remove_secrets(value, secrets)
        for name, value in response.headers.items()
        if name.lower() not in _LEFT_OUT
    }
    return {
        "status_code": response.status_code,
        "reason": remove_secrets(response.reason_phrase, secrets),
        "url": remove_secrets(str(response.url), secrets),
        "headers": headers,
        "content": base64.b64encode(content).decode("ascii"),
        "history": [_serialize_response(hop) for hop in response.history],
    }


def error_event(error: OAuthTaskflowError) -> Event:
    """The event for ``error``, with every field that decides about retries."""
    known = {name for name in errors.__all__ if isinstance(error, getattr(errors, name))}
    kind = next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in known)
    fields = {
        "what": error.what,
        "where": error.where,
        "hint": error.hint,
        "retryable": error.retryable,
        "retry_after": error.retry_after,
        "status": getattr(error, "status", None),
    }
    return {"status": "error", "kind": kind, "message": str(error), "error": fields}


def response_from_event(event: Event) -> ApiResponse:
    """The response that ``event`` holds, as one of ``requests``; its request stays in the triggerer.

    Raises:
        OAuthTaskflowError: the trigger failed; the class is the one raised there.
    """
    raise_failure(event)
    return _build_response(event["response"])


def _build_response(fields: Event) -> ApiResponse:
    response = ApiResponse()
    response.status_code, response.reason = fields["status_code"], fields["reason"]
    response.url, response.headers = fields["url"], CaseInsensitiveDict(fields["headers"])
    response.encoding = get_encoding_from_headers(response.headers)
    response.raw = io.BytesIO(base64.b64decode(fields["content"]))
    _ = response.content
    response.history = [_build_response(hop) for hop in fields["history"]]
    return response


def raise_failure(event: Event) -> None:
    """Raises the error that ``event`` holds, if any.

    Raises:
        OAuthTaskflowError: the trigger failed; the class is the one raised there.
    """
    if event["status"] == "success":
        return
    kind: type[OAuthTaskflowError] = getattr(errors, event["kind"])
    error = kind.__new__(kind)
    error.args = (event["error"]["what"],)
    error.__dict__.update(event["error"])
    raise error
