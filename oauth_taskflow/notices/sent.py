"""Chooses the next notice from those that were sent: each event once. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from oauth_taskflow.notices.trouble import Trouble

RECOVERED = "recovered"


class SentNotice(Struct, frozen=True, array_like=True):
    """The last notice about a kind of trouble: when it was sent, and since when the trouble lasted, if known (store's clock)."""

    sent_at: float
    since: float | None = None

    def covers(self, trouble: Trouble) -> bool:
        """Whether ``trouble`` is the one of this notice, and not one that began after it."""
        return trouble.since is None or self.since is None or trouble.since <= self.since


Sent = Mapping[str, SentNotice]
"""The last notice of each kind of trouble that is not over."""


class Choice(Struct, frozen=True, array_like=True):
    """The notice to send: its ``kind``, empty for none, and ``since`` when that trouble lasts.

    ``over`` are the kinds of trouble that ended.
    """

    kind: str = ""
    since: float | None = None
    over: tuple[str, ...] = ()
    is_repeat: bool = False


NOTHING = Choice()


def choose_notice(
    sent: Sent, troubles: Sequence[Trouble], now: float, repeat_after: float | None
) -> Choice:
    """The next notice about a grant with ``troubles``; called again after each one that was sent.

    A trouble that began after the one of the last notice is another event. One that lasts is announced again after
    ``repeat_after`` seconds. When a grant needs consent, its other troubles end without a notice.
    """
    for trouble in troubles:
        last = sent.get(trouble.kind)
        if last is None or not last.covers(trouble):
            return Choice(trouble.kind, trouble.since)
        if repeat_after is not None and now - last.sent_at >= repeat_after:
            return Choice(trouble.kind, trouble.since, is_repeat=True)
    present = {trouble.kind for trouble in troubles}
    over = tuple(sorted(set(sent) - present))
    if not over:
        return NOTHING
    return Choice("" if "needs_consent" in present else RECOVERED, over=over)


def is_still_true(choice: Choice, troubles: Sequence[Trouble]) -> bool:
    """Whether ``choice`` holds for ``troubles`` seen since; asked right before its notice is sent.

    A worker that looked long ago could otherwise report a trouble that others saw end, or an end before a trouble.
    """
    if choice.kind == RECOVERED:
        return not {trouble.kind for trouble in troubles} & set(choice.over)
    return any(one.kind == choice.kind and one.since == choice.since for one in troubles)


def apply_choice(sent: Sent, choice: Choice, now: float) -> dict[str, SentNotice]:
    """The sent notices after that of ``choice`` was sent at ``now``."""
    kept = {kind: one for kind, one in sent.items() if kind not in choice.over}
    if choice.kind in {"", RECOVERED}:
        return kept
    return {**kept, choice.kind: SentNotice(now, choice.since)}


def write_sent(sent: Sent) -> str:
    """``sent`` as JSON."""
    return msgspec.json.encode(dict(sent)).decode()


def read_sent(text: str) -> dict[str, SentNotice]:
    """The sent notices in the JSON of ``write_sent``."""
    return msgspec.json.decode(text, type=dict[str, SentNotice])
