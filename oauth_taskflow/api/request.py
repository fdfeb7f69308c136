"""One request to the API as a value, from which paginators derive the next one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.api.page_template import PageTemplate
from oauth_taskflow.api.response_limits import Limits
from oauth_taskflow.errors import InvalidRecord

_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True)
class ApiRequest:
    """A request. ``path`` is relative to the session's base URL, or an absolute URL of an allowed origin.

    In ``params``, None omits a name and a list repeats it. ``exact`` marks a URL that the API itself gave: its query is
    sent byte for byte, because signed and double-encoded cursors break when they are encoded again. ``limits`` of the
    response override those of the session. With a ``template``, ``with_page`` renders the request again.
    """

    path: str
    method: str = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | tuple[float, float] | None = None
    exact: bool = False
    limits: Limits | None = None
    template: PageTemplate | None = field(default=None, compare=False, repr=False)

    def with_param(self, name: str, value: Any) -> ApiRequest:
        """The same request with the query parameter ``name`` set, replacing one written into the path."""
        path, _, query = self.path.partition("?")
        kept = [part for part in query.split("&") if part and _name_of(part) != name]
        path = f"{path}?{'&'.join(kept)}" if kept else path
        return replace(self, path=path, params={**self.params, name: value})

    def with_body_value(self, dotted: str, value: Any) -> ApiRequest:
        """The same request with the body's value at ``dotted`` set: in the form if there is one, else in the JSON."""
        if self.form:
            return replace(self, form={**self.form, dotted: value})
        return replace(self, json=_put(self.json, dotted.split("."), value))

    def with_header(self, name: str, value: Any) -> ApiRequest:
        """The same request with the header ``name`` set, whatever the case of the letters it was written in.

        Raises:
            InvalidRecord: no header can carry ``value`` (RFC 9110 §5.5).
        """
        text = (value if isinstance(value, str) else encode(value).decode()).strip()
        if not _HEADER_VALUE.fullmatch(text):
            raise InvalidRecord(
                f"The value for the header {name!r} has a line break or a character outside Latin-1",
                hint="Send it in the query or in the body.",
            )
        kept = {key: old for key, old in self.headers.items() if key.lower() != name.lower()}
        return replace(self, headers={**kept, name: text})

    def with_paging(self, name: str | None, value: Any, place: str) -> ApiRequest:
        """The same request with a paging value in its query, ``body`` or ``header``; unchanged without name or value."""
        if not name or value is None:
            return self
        if place == "body":
            return self.with_body_value(name, value)
        if place == "header":
            return self.with_header(name, value)
        if isinstance(value, list | dict):
            value = encode(value).decode()
        return self.with_param(name, value)

    def with_page(self, place: str, values: Mapping[str, tuple[str | None, Any]]) -> ApiRequest:
        """The same request for another page: ``values`` is page name → (name in the request, value), all of that page.

        Page names are those of templates: ``token``, ``number``, ``offset`` and ``size``. Values that a template places are
        not sent in another way; the others travel as in ``with_paging``.
        """
        template = self.template
        request = self
        if template is not None:
            filled = template.fill({name: value for name, (_, value) in values.items()})
            request = replace(filled, template=template)
        for name, (param, value) in values.items():
            if template is None or name not in template.names:
                request = request.with_paging(param, value, place)
        return request

    def change(self, change: Callable[[ApiRequest], ApiRequest]) -> ApiRequest:
        """The same request after ``change``, which is applied to each page where a template renders them."""
        if self.template is None:
            return change(self)
        return replace(self, template=self.template.then(change))

    def follow_url(self, url: str) -> ApiRequest:
        """The same request to a URL that the API returned, without the parameters of this request."""
        return replace(self, path=url, params={}, exact=True)

    # The former name, which paginators of authors call, for one more release.
    at_url = follow_url

    def fingerprint(self) -> bytes:
        """A digest that is equal for equal requests, by which the loop guard recognises them."""
        parts = msgspec.json.encode(
            [self.method, self.path, self.params, self.json, self.form, self.headers], enc_hook=str
        )
        return hashlib.blake2b(parts, digest_size=16).digest()


def _name_of(part: str) -> str:
    return unquote_plus(re.split("=", part, maxsplit=1)[0])


def _put(body: Any, keys: list[str], value: Any) -> Any:
    node = dict(body) if isinstance(body, Mapping) else {}
    head, *rest = keys
    node[head] = _put(node.get(head), rest, value) if rest else value
    return node
