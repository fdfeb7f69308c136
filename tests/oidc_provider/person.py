"""A person in front of the pages of oidc-provider, without a browser: forms are read and sent as they stand."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urljoin

import requests

_PATIENCE = 20.0
_MOST_PAGES = 15
# Development pages take any login.
_LOGIN = {"login": "ada", "password": "any"}


class Person:
    """Logs in and agrees, with the cookies of a browser; the browser goes nowhere but to the authorization server.

    ``refuses`` makes this one press Cancel where consent is asked for.
    """

    def __init__(self, *, refuses: bool = False) -> None:
        self._session = requests.Session()
        self._refuses = refuses

    def visit(self, url: str, callback: str = "") -> requests.Response:
        """The last answer of the server, when ``url`` was opened and every form sent.

        That is a redirect to ``callback``, or a page without another form of this server.
        """
        answer = self._session.get(url, allow_redirects=False, timeout=_PATIENCE)
        for _ in range(_MOST_PAGES):
            where = answer.headers.get("Location", "")
            if where:
                if callback and where.startswith(callback):
                    return answer
                answer = self._get(urljoin(answer.url, where))
            elif (form := _read_form(answer.text)) and not (callback and form[0] == callback):
                answer = self._send(answer, *form)
            else:
                return answer
        msg = f"the pages of the server do not end: {answer.text}"
        raise AssertionError(msg)

    def _get(self, url: str) -> requests.Response:
        return self._session.get(url, allow_redirects=False, timeout=_PATIENCE)

    def _send(
        self, page: requests.Response, action: str, fields: dict[str, str]
    ) -> requests.Response:
        if self._refuses and (cancel := re.search(r'href="([^"]+/abort)"', page.text)):
            return self._get(urljoin(page.url, cancel[1]))
        filled = {name: _LOGIN.get(name, value) for name, value in fields.items()}
        address = urljoin(page.url, action)
        return self._session.post(address, data=filled, allow_redirects=False, timeout=_PATIENCE)


def read_form_post(page: requests.Response) -> dict[str, str]:
    """The fields that the page of ``response_mode=form_post`` sends to the client by itself."""
    found = _read_form(page.text)
    assert found is not None, page.text
    return found[1]


def _read_form(page: str) -> tuple[str, dict[str, str]] | None:
    """Action and fields of the first form that is posted."""
    form = re.search(r"<form[^>]*>.*?</form>", page, re.DOTALL | re.IGNORECASE)
    if form is None:
        return None
    action = re.search(r'action="([^"]*)"', form[0])
    fields = {}
    for one in re.findall(r"<input[^>]*>", form[0]):
        name, value = (re.search(rf'{key}="([^"]*)"', one) for key in ("name", "value"))
        if name:
            fields[name[1]] = unescape(value[1]) if value else ""
    return unescape(action[1]) if action else "", fields
