"""One resource, every style of paging: rows and a request in, one page out.

Sizes default to 100 and are silently limited to 1,000, as many servers do. A size or position that is not a whole
number is answered with 400. All styles return each row exactly once, in the same order.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec

from oauth_taskflow.testing.dataset import Rows
from oauth_taskflow.testing.messages import Request, Response

DEFAULT_SIZE = 100
LARGEST_SIZE = 1000


class BadParameter(Exception):
    """A query parameter cannot be understood: the API answers 400 with this text."""


@dataclass(frozen=True)
class PageRequest:
    """A request for a page of ``rows``; ``origin`` is the server's own, ``foreign`` another one."""

    request: Request
    rows: Rows
    origin: str
    foreign: str

    def whole(self, name: str, default: int, least: int) -> int:
        """The whole number in parameter ``name``.

        Raises:
            BadParameter: it is not a whole number, or less than ``least``.
        """
        text = self.request.params.get(name, str(default))
        if not text.isdecimal() or int(text) < least:
            raise BadParameter(f"{name} must be a whole number of at least {least}, not {text!r}")
        return int(text)

    def size(self, name: str) -> int:
        """The page size asked for in parameter ``name``, clamped."""
        return min(self.whole(name, DEFAULT_SIZE, 1), LARGEST_SIZE)

    def link(self, usual: str = "relative", **changed: int) -> str:
        """This request's URL with other parameters, written as ``links`` says, else the ``usual`` way.

        ``links=relative`` gives ``/path?query``, ``query`` only ``?query`` and ``absolute`` an absolute URL.
        ``foreign`` gives an absolute URL at another origin of this server, which a careful client refuses.
        """
        form = self.request.params.get("links", usual)
        query = "?" + urlencode({**self.request.params, **changed})
        if form == "query":
            return query
        prefix = {"relative": "", "absolute": self.origin, "foreign": self.foreign}.get(form)
        if prefix is None:
            raise BadParameter("links must be relative, absolute, query or foreign")
        return prefix + self.request.path + query


def _with_data(data: bytes, **more: object) -> Response:
    rest = msgspec.json.encode(more)
    tail = b"," + rest[1:] if more else b"}"
    return Response(body=b'{"data":' + data + tail)


def _page_position(asked: PageRequest) -> tuple[int, int, int, int]:
    """Number, size and first row of the page asked for, and the number of pages."""
    number, size = asked.whole("page", 1, 1), asked.size("per_page")
    return number, size, (number - 1) * size, -(-len(asked.rows) // size)


def serve_pages(asked: PageRequest) -> Response:
    """``page`` (from 1) and ``per_page``: ``{data, meta: {page, pages, total}}``."""
    number, size, start, pages = _page_position(asked)
    meta = {"page": number, "pages": pages, "total": len(asked.rows)}
    return _with_data(asked.rows.page(start, size), meta=meta)


def serve_offsets(asked: PageRequest) -> Response:
    """``offset`` and ``limit``: ``{data, total_entries}``."""
    start, size = asked.whole("offset", 0, 0), asked.size("limit")
    return _with_data(asked.rows.page(start, size), total_entries=len(asked.rows))


def serve_cursors(asked: PageRequest) -> Response:
    """``after`` (opaque) and ``limit``: ``{data, paging: {next: {after}}}``; no ``paging`` on the last page."""
    size, after = asked.size("limit"), asked.request.params.get("after", "")
    start = _position(after) if after else 0
    data = asked.rows.page(start, size)
    if start + size >= len(asked.rows):
        return _with_data(data)
    return _with_data(data, paging={"next": {"after": _cursor(start + size)}})


def serve_link_header(asked: PageRequest) -> Response:
    """``page`` and ``per_page``: the body is the list; ``Link`` names first, prev, next and last (RFC 8288).

    Targets are absolute unless ``links`` says otherwise.
    """
    number, size, start, pages = _page_position(asked)
    wanted = {"first": 1, "prev": number - 1, "next": number + 1, "last": pages}
    links = [
        f'<{asked.link("absolute", page=page)}>; rel="{name}"'
        for name, page in wanted.items()
        if 1 <= page <= pages
    ]
    headers = (("Content-Type", "application/json"), ("Link", ", ".join(links)))
    return Response(body=asked.rows.page(start, size), headers=headers if links else headers[:1])


def serve_next_url(asked: PageRequest) -> Response:
    """``page`` and ``per_page``: ``{data, links: {next}}``, null on the last page; ``links`` chooses its form."""
    number, size, start, pages = _page_position(asked)
    following = asked.link(page=number + 1) if number < pages else None
    return _with_data(asked.rows.page(start, size), links={"next": following})


def serve_loop(asked: PageRequest) -> Response:
    """Always the first page with a link to a next one, in every style, to test loop guards."""
    again = asked.link()
    response = _with_data(
        asked.rows.page(0, asked.size("limit")),
        paging={"next": {"after": _cursor(0)}},
        links={"next": again},
    )
    return Response(200, response.body, (*response.headers, ("Link", f'<{again}>; rel="next"')))


_PADDING = b"x" * 210


def serve_bulk(asked: PageRequest) -> Response:
    """Page style over ``total`` rows of about 450 bytes: the airports over and over, each row with its own ``id``."""
    number, size, total = (
        asked.whole("page", 1, 1),
        asked.size("per_page"),
        asked.whole("total", 100_000, 0),
    )
    if not asked.rows:
        total = 0
    encoded, start = asked.rows.encoded, (number - 1) * size
    rows = b",".join(
        b'{"id":%d,"note":"%s",%s' % (i, _PADDING, encoded[i % len(encoded)][1:])
        for i in range(start, min(start + size, total))
    )
    meta = msgspec.json.encode({"page": number, "pages": -(-total // size), "total": total})
    return Response(body=b'{"data":[' + rows + b'],"meta":' + meta + b"}")


STYLES: dict[str, Callable[[PageRequest], Response]] = {
    "page": serve_pages,
    "offset": serve_offsets,
    "cursor": serve_cursors,
    "link": serve_link_header,
    "next": serve_next_url,
    "loop": serve_loop,
    "bulk": serve_bulk,
}


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"row:{position}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        kind, _, position = base64.urlsafe_b64decode(cursor).decode().partition(":")
    except (binascii.Error, ValueError):
        kind = position = ""
    if kind != "row" or not position.isdecimal():
        raise BadParameter("after is not a cursor of this resource")
    return int(position)
