"""The border of the app: the headers of every answer, and the answer to a bug."""

from __future__ import annotations

import logging
import traceback

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oauth_taskflow.taskflow.page.failures import problem_answer
from oauth_taskflow.taskflow.page.return_address import CALLBACK

_LARGEST_BODY = 1 << 20
_log = logging.getLogger(__name__)
# Airflow's own pages are not under this policy: it sends none. ``form-action`` would also stop a form that leads on to a
# provider, which is why a consent starts with a link.
_POLICY = "default-src 'self'; frame-ancestors 'self'; form-action 'self'; base-uri 'none'; object-src 'none'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    # With no-referrer, forms of a page send "Origin: null".
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Border:
    """Adds the policies; answers other than static files are never stored by a browser or proxy.

    Queries reach the access log for ``/api/`` only. A bug becomes status 500 and a log line with its type and place: message and values may be secret.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_static = scope["path"].startswith(f"{scope.get('root_path', '')}/static/")
        # The access log is written after the answer. Parameters that an authorization server sends to a wrong path, or by a method
        # other than the callback's, may be a code too.
        is_api = scope["path"].startswith(f"{scope.get('root_path', '')}/api/")
        is_answered = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                # Files are asked for again with their ETag: a development version keeps its number.
                headers.setdefault("Cache-Control", "no-cache" if is_static else "no-store")
            await send(message)

        if (
            "\0" in scope["path"]
        ):  # PostgreSQL refuses such an id, and Airflow's permission check asks it
            await problem_answer(404, "This page does not exist")(scope, receive, send_with_headers)
            return
        try:
            # The callback reads its body itself, and less of it.
            is_callback = scope["path"].rstrip("/").endswith(CALLBACK)
            receive_some = receive if is_callback else _limit_body(receive)
            await self.app(scope, receive_some, send_with_headers)
        except Exception as bug:  # noqa: BLE001  # its text may hold a secret, and Airflow would log it
            _log.error("A request of the page OAuth failed: %s", _describe(bug))
            if not is_answered:
                what = f"The API server failed ({type(bug).__name__})"
                answer = problem_answer(500, what, hint="Its log names the place.")
                await answer(scope, receive, send_with_headers)
        finally:
            if not is_api:
                scope["query_string"] = b""


def _limit_body(receive: Receive) -> Receive:
    """``receive`` for bodies of 1 MiB at most. FastAPI reads the whole body before it asks who sends it."""
    size = 0

    async def receive_limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > _LARGEST_BODY:
            raise HTTPException(413, "The body is larger than 1 MiB.")
        return message

    return receive_limited


def _describe(bug: Exception) -> str:
    frames = traceback.extract_tb(bug.__traceback__)[-6:]
    places = (f"{frame.filename}:{frame.lineno}" for frame in frames)
    return f"{type(bug).__name__} at {' < '.join(reversed(list(places)))}"
