"""The text of a notice: redacted, with a link to the page, and never an address at which a person consents. No I/O."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Sequence

from msgspec import Struct

from oauth_taskflow.errors import printable
from oauth_taskflow.iso8601 import instant_text
from oauth_taskflow.notices.sent import RECOVERED, Choice
from oauth_taskflow.notices.trouble import Trouble
from oauth_taskflow.redaction import redact_text

_LONGEST_PROBLEM = 600
# The query is what makes an address of consent one; user info, fragment and query may hold secrets.
_URL = re.compile(
    r"(?i)\b([a-z][a-z0-9+.-]*://)(?:[^\s/?#@\"'<>]*@)?([^\s?#\"'<>]*)[?#][^\s\"'<>]*"
)
_BARE_QUERY = re.compile(r"\?[\w.%-]+=[^\s\"'<>]*")
_TITLES = {
    "needs_consent": "OAuth connection {conn_id} needs a person: tasks fail until it is authorized again",
    "consent_due": "OAuth connection {conn_id}: a person must authorize it again by {end}",
    "refresh_failing": "OAuth connection {conn_id}: refreshes fail since {since}",
    RECOVERED: "OAuth connection {conn_id} works again",
}
_OVER = {
    "needs_consent": "it is authorized again",
    "consent_due": "its consent was renewed",
    "refresh_failing": "its refreshes work again",
}


class Notice(Struct, frozen=True, kw_only=True):
    """One notice to people; every text of it is redacted.

    Attributes:
        kind: ``needs_consent``, ``consent_due``, ``refresh_failing``, ``recovered`` or ``schema_drift``.
        title: one line.
        details: further lines, without the link.
        link: the page to open.
        conn_id: the connection; empty for ``schema_drift``.
        is_repeat: an earlier notice announced it, and it lasts.
    """

    kind: str
    title: str
    details: tuple[str, ...] = ()
    link: str = ""
    conn_id: str = ""
    is_repeat: bool = False

    @property
    def text(self) -> str:
        """The notice as plain text, a line each."""
        return "\n".join(part for part in (self.title, *self.details, self.link) if part)

    @property
    def html(self) -> str:
        """The notice as HTML paragraphs, escaped."""
        lines = [f"<p><b>{html.escape(self.title)}</b></p>"]
        lines += [f"<p>{html.escape(line)}</p>" for line in self.details]
        if self.link:
            link = html.escape(self.link)
            lines.append(f'<p><a href="{link}">{link}</a></p>')
        return "\n".join(lines)

    @property
    def slack(self) -> str:
        """The notice as plain text in which Slack sees no mention, link or command of a server's text."""
        return html.escape(self.text, quote=False)


def build_notice(conn_id: str, choice: Choice, troubles: Sequence[Trouble], link: str) -> Notice:
    """The notice of ``choice`` about a connection with ``troubles``."""
    trouble = next((one for one in troubles if one.kind == choice.kind), None)
    end = _format(trouble.ends_at) if trouble is not None else ""
    since = _format(trouble.since) if trouble is not None else ""
    title = _TITLES[choice.kind].format(conn_id=conn_id, end=end, since=since)
    return Notice(
        kind=choice.kind,
        title=shorten(f"{title} (reminder)" if choice.is_repeat else title),
        details=tuple(_list_details(choice, trouble)),
        link=link,
        conn_id=conn_id,
        is_repeat=choice.is_repeat,
    )


def describe_troubles(conn_id: str, troubles: Sequence[Trouble]) -> str:
    """One line about all ``troubles`` of a connection, without a full stop at its end."""
    notices = [build_notice(conn_id, Choice(one.kind), troubles, "") for one in troubles]
    lines = (": ".join(filter(None, (one.title, " ".join(one.details)))) for one in notices)
    return "; ".join(line.removesuffix(".") for line in lines)


def _list_details(choice: Choice, trouble: Trouble | None) -> list[str]:
    if trouble is None:
        over = "; ".join(_OVER.get(kind, kind) for kind in choice.over)
        return [f"{over[:1].upper()}{over[1:]}."] if over else []
    details = [clean_text(trouble.problem)] if trouble.problem else []
    if trouble.kind == "refresh_failing":
        details.append("Tasks go on while their access token lasts, and fail then.")
    return details


def _format(instant: float | None) -> str:
    return "an unknown time" if instant is None else instant_text(instant)


def clean_text(text: str) -> str:
    """``text`` in one line of 600 characters at most: without secrets, control characters, and queries of addresses."""
    cut = _BARE_QUERY.sub("", _URL.sub(r"\1\2", redact_text(printable(text))))
    return shorten(cut)


def shorten(text: str) -> str:
    """``text`` in one line of 600 characters at most."""
    return textwrap.shorten(printable(text), _LONGEST_PROBLEM, placeholder=" …")
