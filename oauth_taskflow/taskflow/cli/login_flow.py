"""Three ways for a person to consent: in a browser here, by pasting an address, or with a code on another device."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from oauth_taskflow import secret_registry
from oauth_taskflow.connections.readers.consent import is_local
from oauth_taskflow.errors import AuthorizationFailed, OAuthTaskflowError
from oauth_taskflow.oauth.endpoint.retries import PauseObserver
from oauth_taskflow.oauth.login.authorization import Authorization
from oauth_taskflow.oauth.login.device import authorize_device, wait_for_device
from oauth_taskflow.oauth.login.loopback import LoopbackListener
from oauth_taskflow.taskflow.cli.output import format_moment
from oauth_taskflow.taskflow.grants.consent_flow import (
    ConsentResult,
    build_url,
    expect_answer,
    mask_result,
    start_attempt,
    to_printable,
    trade_code,
)
from oauth_taskflow.taskflow.grants.managed_grant import ManagedGrant

Say = Callable[[str], None]
_IF_REFUSED = (
    "If the page in the browser shows an error, correct the connection first: redirect_uri must be registered for the "
    "client, and a server that demands pushed requests (PAR) needs par_url in extra."
)
_PASTE_URI = "http://127.0.0.1:8765/callback"


@dataclass(frozen=True)
class LoginOptions:
    """Options of a login. ``port`` 0 means a free one; ``timeout`` is in seconds; ``by`` names the user."""

    port: int = 0
    timeout: float = 300.0
    browser: bool = True
    by: str = ""


def log_in_by_browser(grant: ManagedGrant, options: LoginOptions, say: Say) -> ConsentResult:
    """Wait on a loopback port for the browser to deliver the answer.

    Raises:
        OAuthTaskflowError: no answer in time, a wrong one, or the server refused.
    """
    attempts: list[Authorization] = []

    def is_mine(answer: object) -> bool:
        return bool(attempts) and isinstance(answer, dict) and attempts[0].is_mine(answer)

    with _open_listener(grant, options, is_mine) as listener:
        attempt = start_attempt(grant, listener.redirect_uri)
        attempts.append(attempt)
        url = build_url(grant, attempt)
        say(f"Open this address and agree:\n\n  {url}\n")
        if options.browser and _has_browser():
            # In a thread: some browsers return only when they are closed.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        say(f"Waiting for the answer on {listener.redirect_uri} …")
        answer = listener.wait(options.timeout)
    if answer is None:
        raise attempt.failure(f"No answer came within {options.timeout:g} s", _IF_REFUSED)
    return trade_code(grant, attempt.read(answer), by=options.by, on_pause=_announce_pause(say))


def log_in_by_paste(
    grant: ManagedGrant, options: LoginOptions, say: Say, read: Callable[[], str]
) -> ConsentResult:
    """Let the person paste the address at which the browser ends; this machine does not listen.

    Raises:
        OAuthTaskflowError: the address is not the answer, or the server refused.
    """
    port = f":{options.port}" if options.port else ""
    default = f"http://127.0.0.1{port}/callback" if port else _PASTE_URI
    attempt = start_attempt(grant, grant.consent.redirect_uri or default)
    say(f"Open this address in any browser and agree:\n\n  {build_url(grant, attempt)}\n")
    say("The browser ends at a page that may not load. Paste its whole address here:")
    try:
        pasted = read()
    except EOFError:
        raise attempt.failure("No address was pasted") from None
    code = attempt.read_url(pasted)
    return trade_code(grant, code, by=options.by, on_pause=_announce_pause(say))


def log_in_by_device(grant: ManagedGrant, options: LoginOptions, say: Say) -> ConsentResult:
    """Show a code that the person enters on any device, and wait for the consent.

    Raises:
        OAuthTaskflowError: no consent came in time, or the server refused.
    """
    device = authorize_device(grant.endpoint, grant.endpoint_url("device_url"), grant.options)
    secret_registry.add([device.device_code])
    say(f"Open {to_printable(device.verification_uri)} on any device and enter this code:\n")
    say(f"  {to_printable(device.user_code)}\n")
    if device.complete_uri:
        say(f"Or open the address that holds the code: {to_printable(device.complete_uri)}\n")
    say(f"Waiting for up to {_format_duration(device.expires_in)} …")
    endpoint, arriving = expect_answer(grant, options.by)
    try:
        outcome = wait_for_device(endpoint, device, grant.options, _announce_pause(say))
    except OAuthTaskflowError:
        arriving.drop()
        raise
    return mask_result(outcome, arriving)


def _announce_pause(say: Say) -> PauseObserver:
    """Says until when the command waits, by the clock of this machine."""

    def announce(failure: OAuthTaskflowError, seconds: float) -> None:
        say(f"{failure.what} {failure.where}. The next attempt is {format_moment(seconds)}.")

    return announce


def _format_duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes > 1 else f"{seconds:.0f} seconds"


def _open_listener(
    grant: ManagedGrant, options: LoginOptions, is_mine: Callable[[object], bool]
) -> LoopbackListener:
    registered = grant.consent.redirect_uri
    if registered and not is_local(registered):
        raise grant.error(
            "The browser delivers the answer to another machine",
            "redirect_uri",
            f"Run: airflow oauth login {grant.conn_id} --paste",
        )
    parts = urlsplit(registered or "http://127.0.0.1/callback")
    port = options.port or parts.port or 0
    try:
        return LoopbackListener(
            is_mine, port=port, path=parts.path or "/", host=parts.hostname or ""
        )
    except OSError as taken:
        raise AuthorizationFailed(
            f"Port {port} of 127.0.0.1 cannot be opened for listening ({taken.strerror or type(taken).__name__})",
            where=f"for connection {grant.conn_id!r}",
            hint="Name another one with --port, or use --paste.",
        ) from taken


def _has_browser() -> bool:
    """Whether a window can open: otherwise Python would start a text browser inside this terminal."""
    desktop = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in desktop)
